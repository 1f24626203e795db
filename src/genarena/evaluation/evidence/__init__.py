"""Evidence: what a metric may use about a model and a data set (samples, likelihoods, features); one kind per file.

The parameters of a metric's `update` name pieces of evidence. Each file of this folder has one `Kind`; its methods marked
`@piece` make the pieces. The parameters of such a method name the pieces that it needs itself.
`genarena.evaluation.gathered.Evidence` makes each piece once, at its first use.

To add a kind, add a file; it is found by its folder. It holds everything that the kind depends on: its `Settings`, the network
whose features it gives, and the facts for a metric's record. The fields of its `Settings` are options
`evidence.<file>.<field>`. A metric that uses the kind may have another value, `metric.<name>.<field>`; a piece is then made
once for each value. What is made of another piece depends on that one's options too.
"""
