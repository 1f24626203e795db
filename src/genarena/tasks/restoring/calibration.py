"""Whether draws x_1, ..., x_K have the spread that the truth asks for. Statistics are over the part of x that is not measured
one by one; over all of it, where there is no such part. Draws are used as they are, neither clamped nor rounded.

If the truth and the draws come from the same p(x | y), the expectations are

    chi2          |y - A x_k|^2 / (m sigma^2), m measured numbers                   1
    MSE ratio     mean_k |x_k - x|^2 / |mean_k x_k - x|^2                          2 K / (K + 1)
    spread-skill  ((1 + 1/K) mean variance / |mean_k x_k - x|^2)^(1/2)             1
    coverage      share of pixels with x in mean +- t sd (1 + 1/K)^(1/2)           0.9, for Gaussian draws

The draws and the truth are K + 1 draws of one distribution with variance v: |x_k - x|^2 has expectation 2 v, and the mean of K
draws is at v + v / K. These are necessary, not sufficient: any Gaussian with the right two moments passes the second and third.
CRPS and energy score tell better from worse, see `statistics/ensembles.py`.
"""

import torch
from torch import Tensor

from genarena.statistics import ensembles
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.restoring.records import Score, Scores, ratio, root

LEVEL = 0.9  # of coverage
OF_DRAWS = ("crps", "energy_score", "mse_ratio", "spread_skill", "coverage", "pixel_std")


def calibration(draws: Tensor, truth: Tensor, problem: Problem) -> Scores:
    """Of draws (N, K, C, H, W) in [0, 1]; problem: of the images, a lane each. With K = 1 only chi2 has a value."""
    found = {"chi2": Score(chi2(draws, problem))}
    num_draws = draws.shape[1]
    if num_draws < 2:
        few = Score(reason="needs at least 2 draws of each image: num_draws=2 or more")
        return found | dict.fromkeys(OF_DRAWS, few)
    counts, draws = counted(problem.operator, len(truth)), draws.transpose(0, 1)  # (K, N, ...)
    error = mean_over((draws.mean(0) - truth).square(), counts)
    single = torch.stack([mean_over((each - truth).square(), counts) for each in draws]).mean(0)
    variance = mean_over(draws.var(0), counts)
    of_ratio = ratio(single, error)
    return found | {
        "crps": Score(mean_over(ensembles.crps(draws, truth), counts)),
        "energy_score": Score(ensembles.energy_score(draws, truth, counts)),
        "mse_ratio": Score(
            value=of_ratio.value,
            standard_error=of_ratio.standard_error,
            reason=of_ratio.reason,
            facts={"target": 2.0 * num_draws / (num_draws + 1.0)},
        ),
        "spread_skill": root(ratio((1.0 + 1.0 / num_draws) * variance, error)),
        "coverage": Score(mean_over(ensembles.coverage(draws, truth, LEVEL).double(), counts)),
        "pixel_std": Score(mean_over(draws.std(0), counts)),
    }


def chi2(draws: Tensor, problem: Problem) -> Tensor:
    """(N,): the mean over the draws of an image."""
    found = [problem.residual(each).square() * problem.operator.observed for each in draws.unbind(1)]
    squares = torch.stack([each.flatten(1).sum(1) for each in found]).mean(0)
    return squares / (problem.num_observed() * problem.sigma**2)


def counted(operator: Operator, num: int) -> Tensor:
    """Which numbers of x count, bool (N, *shape): those not measured one by one; all, where there are none."""
    free = ~operator.known.expand(num, *operator.shape)
    none = ~free.flatten(1).any(1)
    return free | none.view(-1, *[1] * len(operator.shape))


def mean_over(values: Tensor, counts: Tensor) -> Tensor:
    """(N,): means of values (N, ...) over those that count. Each image weighs the same."""
    return (values * counts).flatten(1).sum(1) / counts.flatten(1).sum(1)
