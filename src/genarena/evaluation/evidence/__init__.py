"""Evidence: what a metric may use about a model and a data set (samples, likelihoods, features); one kind per file.

The parameters of a metric's `update` name pieces of evidence. Each file of this folder has one `Kind`; its methods marked
`@piece` make the pieces. The parameters of such a method name the pieces that it needs itself.
`genarena.evaluation.gathered.Evidence` makes each piece once, at its first use.

To add a kind, add a file; it is found by its folder. It holds everything that the kind depends on: its `Settings`, the shared
settings that it reads (`reads`), the network whose features it gives, and the facts for a metric's record. The fields of its
`Settings` are options `metric.<name>.<field>` of every metric that uses the kind. Two metrics may set them differently; a piece
is then made once for each setting.
"""
