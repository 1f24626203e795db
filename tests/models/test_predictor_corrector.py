import math

import pytest
import torch

from genarena.models.diffusion.paths import DATA, PATHS, Level
from genarena.models.diffusion.predictor_corrector import PredictorCorrector
from tests.analytic import Mixture, Normal


def test_annealed_langevin_is_algorithm_1_of_song_and_ermon() -> None:
    """alpha = eps s^2 / s_last^2; x + alpha / 2 score + sqrt(alpha) z, T times a level; eps = 2e-5, s_last = .01."""
    world, sigmas = Mixture(), [1.0, 0.3, 0.01]
    sampler = PredictorCorrector(predictor="none", corrections=3, snr=math.sqrt(0.05))
    x, generator = torch.randn(5, dtype=torch.float64), torch.Generator().manual_seed(1)
    found = sampler(
        world.denoise,
        x,
        [*(Level(1.0, sigma) for sigma in sigmas), Level(1.0, 0.0)],
        lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype),
    )
    generator.manual_seed(1)
    for sigma in sigmas:
        for _ in range(3):
            alpha = 2e-5 * sigma**2 / 0.01**2
            score = (world.denoise(x, Level(1.0, sigma)).x_0 - x) / sigma**2
            z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            x = x + 0.5 * alpha * score + math.sqrt(alpha) * z
    torch.testing.assert_close(found, x)


@pytest.mark.parametrize("preserving", [False, True])
def test_annealed_langevin_finds_the_weights_of_a_mixture(preserving: bool) -> None:
    """From a start that knows nothing of the modes; without annealing the chains stay in the mode where they start."""
    torch.manual_seed(0)
    sampler = PredictorCorrector(predictor="none", corrections=30, snr=0.2)
    wide = [*(Level(1.0, 10.0 * 0.005 ** (k / 20)) for k in range(21)), DATA]
    if preserving:
        wide = [Level(level.a / math.hypot(*level), level.s / math.hypot(*level)) for level in wide]
    start = 1.0 + torch.randn(4000)
    x = sampler(Mixture().denoise, wide[0].s * start, wide)
    upper = x > -0.25
    assert upper.double().mean().item() == pytest.approx(0.7, abs=0.04)
    assert x[upper].mean().item() == pytest.approx(0.5, abs=0.02)
    assert x[upper].std().item() == pytest.approx(math.hypot(0.2, 0.05), abs=0.02)  # of the noise of the last level too
    stuck = sampler(Mixture().denoise, start, wide[-2:])
    assert (stuck > -0.25).double().mean().item() > 0.85


def test_corrections_leave_the_marginal_as_it_is() -> None:
    """At one level, the variance of Langevin steps of size h at N(m, v) is v / (1 - h / (2 v))."""
    torch.manual_seed(0)
    world, level = Normal(0.4, 0.5), PATHS["linear"](0.5)
    sampler = PredictorCorrector(predictor="none", corrections=200, snr=0.3)
    deviation = world.deviation(level)
    x = level.a * world.mean + deviation * torch.randn(20_000)
    x = sampler(world.denoise, x, [level, level])
    step = 2.0 * (0.3 * level.s) ** 2
    expected = deviation / math.sqrt(1.0 - step / (2.0 * deviation**2))
    assert x.std().item() == pytest.approx(expected, rel=0.02)
    assert x.mean().item() == pytest.approx(level.a * world.mean, abs=0.03)


def test_evaluations_below_one_level_are_refused() -> None:
    with pytest.raises(ValueError, match="sampler.nfe=3: expected at least 4, the evaluations at one level"):
        PredictorCorrector(nfe=3, corrections=3)
    with pytest.raises(ValueError, match="sampler.nfe=202: expected at most 200, for a schedule of 100 steps"):
        PredictorCorrector(nfe=202).num_steps(100)
