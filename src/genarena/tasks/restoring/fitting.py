"""The algorithm for a model and its problems."""

from collections.abc import Mapping, Sequence

from genarena.tasks.linear.operator import Operator
from genarena.tasks.posterior.base import PosteriorSampler


def first_fitting(
    algorithms: Sequence[PosteriorSampler], problems: Mapping[str, tuple[Operator, float]]
) -> PosteriorSampler:
    """The first algorithm that takes all problems. problems: name to operator and sigma in units of [0, 1].

    Raises ValueError, with the name of the first problem that the first algorithm cannot take, and those that it can.
    """
    for algorithm in algorithms:
        if not any(algorithm.refusal(*problem) for problem in problems.values()):
            return algorithm
    first = algorithms[0]
    reasons = {name: first.refusal(*problem) for name, problem in problems.items()}
    case = next(name for name, reason in reasons.items() if reason)
    taken = [name for name, reason in reasons.items() if not reason]
    hint = f"; of the degradations it takes {', '.join(taken)}" if taken else ""
    raise ValueError(f"algorithm={first.name}: {case}: {reasons[case]}{hint}")
