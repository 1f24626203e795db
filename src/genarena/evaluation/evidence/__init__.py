"""Evidence: what a metric may ask for about a model and a data set, one file per kind.

The parameters of a metric's `update` name pieces of evidence. A piece is a method marked `@piece` of the one `Kind` in a file
of this folder, and its own parameters name the pieces that it is made of. `genarena.evaluation.gathered.Evidence` makes each
piece once, when it is first asked for.

A new kind is a new file here, found by the folder. What it depends on stands in it: its `Settings` (options
`evaluation.<field>`, part of the protocol of the metrics that ask for it), the networks that it looks through, and the
facts that belong in a metric's record.
"""
