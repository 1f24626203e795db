"""Fits of scikit-learn that stop after its usual number of iterations, converged or not: the metrics are defined so."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def converged_or_not() -> Iterator[None]:
    """No warning that a fit has stopped early."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
