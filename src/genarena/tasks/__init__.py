"""Applications of finished runs, one file per task, and a YAML of the same name in `conf/task`.

A task says what it does to data, which capability it needs of a model (`models/capabilities.py`), by which algorithm it then
solves the problem, and which classical methods it compares with. No model knows of any task.

Conventions: images are floats in [0, 1], and noise levels are in these units. y = A x + sigma n. An algorithm states its
exactness: `exact`, the posterior mean or a posterior draw of the model as it is; `asymptotic`, the same in a limit, such as
many steps or an ideal network; `heuristic`, neither. A strength is chosen on validation pictures, never on test pictures.
"""
