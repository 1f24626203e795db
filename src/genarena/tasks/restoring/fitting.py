"""Which algorithm takes a problem."""

from collections.abc import Sequence

from genarena.tasks.linear.operator import Operator
from genarena.tasks.posterior.base import PosteriorSampler


def first_fitting(
    algorithms: Sequence[PosteriorSampler], name: str, operator: Operator, sigma: float
) -> PosteriorSampler:
    """The first algorithm that takes a problem; sigma in units of [0, 1]. Raises ValueError, with the reason of the first."""
    reasons = [algorithm.refusal(operator, sigma) for algorithm in algorithms]
    for algorithm, reason in zip(algorithms, reasons, strict=True):
        if not reason:
            return algorithm
    raise ValueError(f"algorithm={algorithms[0].name}: {name}: {reasons[0]}")
