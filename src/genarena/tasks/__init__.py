"""Applications of finished runs, one file per task, and a YAML of the same name in `conf/task`.

A task says what it does to data, in which cases, which algorithms solve the problem (`conf/algorithm`), which capability of a
model (`models/capabilities.py`) each of them needs, and which floors it compares with. No model knows of any task.

An algorithm states its exactness: `exact`, the posterior mean or a posterior draw of the model as it is; `asymptotic`, the same
in a limit, such as many steps or an ideal network; `heuristic`, neither. A strength is chosen on validation examples, never on
test examples.

Folders: `linear` has operators and problems, `posterior` the algorithms that draw from p(x | y), `floors` the methods without a
trained model, `restoring` the protocol of restoration.
"""
