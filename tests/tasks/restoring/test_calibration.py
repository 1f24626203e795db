"""Scores of draws against closed forms: the exact posterior of a Gaussian reaches every target, and a wrong spread is seen."""

import pytest
import torch
from scipy import special
from torch import Tensor

from genarena.statistics.intervals import t_quantile
from genarena.tasks.linear.degradations import degradation
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.restoring.calibration import OF_DRAWS, calibration, counted
from genarena.tasks.restoring.records import Scores, record
from tests.tasks.world import World

NUM, K, SIGMA, SHAPE = 1500, 6, 0.3, (1, 4, 4)
WORLD = World(SHAPE, "ar1")


def observed(name: str) -> tuple[Tensor, Problem]:
    operator = degradation(name).operator(SHAPE, [b""], 0)
    x = WORLD.draw(NUM)
    n = torch.randn((NUM, *operator.observed_shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return x, Problem(operator, operator(x) + SIGMA * n * operator.observed, SIGMA, Noise([]))


def drawn(problem: Problem, spread: float = 1.0) -> Tensor:
    """(NUM, K, *SHAPE), from the posterior with its standard deviation times `spread`."""
    mean, covariance = WORLD.posterior(problem.operator, problem.y, SIGMA)
    z = torch.randn(NUM, K, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return mean[:, None] + spread * (z @ torch.linalg.cholesky(covariance).T).unflatten(2, SHAPE)


def within(scores: Scores, name: str, wanted: float) -> bool:
    """Within 4 standard errors: there are about 25 such checks here, of which one in 650 test runs would fail by chance."""
    made = record(name, scores[name], NUM)
    assert made["standard_error"] < 0.05 * wanted
    return abs(made["value"] - wanted) < 4 * made["standard_error"]


@pytest.mark.parametrize("name", ["inpaint_center", "inpaint_half", "sr2", "denoise_0.3"])
def test_the_exact_posterior_reaches_the_targets(name: str) -> None:
    x, problem = observed(name)
    scores = calibration(drawn(problem), x, problem)
    targets = {"chi2": 1.0, "mse_ratio": 2 * K / (K + 1), "spread_skill": 1.0, "coverage": 0.9}
    for metric, target in targets.items():
        assert within(scores, metric, target), metric
        assert record(metric, scores[metric], NUM)["target"] == target
    counts = counted(problem.operator, 1)[0].flatten()
    deviations = WORLD.posterior(problem.operator, problem.y[:1], SIGMA)[1].diagonal().sqrt()[counts]
    crps = deviations.mean().item() / torch.pi**0.5  # of N(0, s^2) against a draw of itself: s / sqrt(pi)
    assert within(scores, "crps", crps)


@pytest.mark.parametrize("spread", [0.5, 2.0])
def test_a_wrong_spread_is_seen(spread: float) -> None:
    """With deviations s times too large, x_k - x has the variance (1 + s^2) v, and the mean of K is at (1 + s^2 / K) v."""
    x, problem = observed("inpaint_half")
    scores = calibration(drawn(problem, spread), x, problem)
    of_mean = 1 + spread**2 / K
    assert within(scores, "mse_ratio", (1 + spread**2) / of_mean)
    assert within(scores, "spread_skill", (spread**2 * (1 + 1 / K) / of_mean) ** 0.5)
    reached = t_quantile(K - 1, 0.1) * spread * (1 + 1 / K) ** 0.5 / of_mean**0.5  # (x - mean) / (sd / spread)
    assert within(scores, "coverage", 2 * special.stdtr(K - 1, reached) - 1)
    exact = calibration(drawn(problem), x, problem)
    for metric in ("crps", "energy_score"):
        assert scores[metric].by_image.mean() > exact[metric].by_image.mean()


def test_the_mean_of_the_draws_fits_the_measurements_too_well() -> None:
    """Which is why chi2 stands on draws: at the posterior mean it is below its target."""
    x, problem = observed("inpaint_half")
    mean = WORLD.posterior(problem.operator, problem.y, SIGMA)[0]
    assert calibration(mean[:, None], x, problem)["chi2"].by_image.mean() < 0.9


def test_one_draw_has_a_misfit_only() -> None:
    x, problem = observed("inpaint_half")
    scores = calibration(drawn(problem)[:, :1], x, problem)
    assert scores["chi2"].by_image is not None
    assert all(scores[name].reason.startswith("needs at least 2 draws") for name in OF_DRAWS)


def test_what_is_measured_one_by_one_does_not_count_unless_all_is() -> None:
    def share(name: str) -> float:
        operator: Operator = degradation(name).operator(SHAPE, [b"a", b"b"], 0)
        return counted(operator, 2).double().mean().item()

    assert [share(name) for name in ("inpaint_half", "denoise_0.1", "sr2", "inpaint_center")] == [0.5, 1.0, 1.0, 0.25]
    x, problem = observed("inpaint_half")
    draws = drawn(problem)
    other = draws.clone()
    other[..., :2, :] += 5.0  # where x is measured
    one, two = calibration(draws, x, problem), calibration(other, x, problem)
    for metric in ("crps", "energy_score", "coverage", "pixel_std"):
        assert torch.equal(one[metric].by_image, two[metric].by_image)
    assert two["chi2"].by_image.mean() > 100
