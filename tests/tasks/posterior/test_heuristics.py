"""The biases of heuristic samplers on a Gaussian with its exact denoiser, so that a change of a rule is seen; and what they
must do all the same. Their draws are affine in their noise, and the moments exact, but for DPS and split Gibbs."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genarena.models.diffusion.paths import DATA, Level
from genarena.models.diffusion.samplers import DDIM, Denoised
from genarena.tasks.linear.mask import identity
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior import prox
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.daps import DAPS
from genarena.tasks.posterior.ddnm import DDNM, gain
from genarena.tasks.posterior.diffpir import DiffPIR, Renewing
from genarena.tasks.posterior.dps import DPS
from genarena.tasks.posterior.pigdm import PiGDM
from genarena.tasks.posterior.repaint import RePaint, visits
from genarena.tasks.posterior.split_gibbs import SplitGibbs
from genarena.tasks.posterior.tmpd import TMPD
from tests.tasks.affine import CASES, Matrix, pool, relative
from tests.tasks.world import World, relative_w2

PLAIN, RHO = DDNM(num_steps=100, plus=False), DiffPIR(num_steps=100, weight=7.0)
PINNED = [
    (TMPD(num_steps=100), "identity, inpaint", 0.0250, 0.9537),  # of T = 100 steps alone, as mmps
    (TMPD(num_steps=100), "ar1, inpaint", 0.1827, 0.9460),
    (TMPD(num_steps=100), "ar1, pool", 0.0905, 0.9163),
    (PiGDM(num_steps=100), "identity, inpaint", 0.0250, 0.9537),
    (PiGDM(num_steps=100), "ar1, inpaint", 0.2703, 1.0358),
    (PiGDM(num_steps=100), "ar1, denoise", 0.1327, 0.8786),
    (PLAIN, "identity, inpaint", 0.0550, 0.9521),
    (PLAIN, "ar1, inpaint", 0.5720, 1.6436),
    (PLAIN, "ar1, pool", 0.4426, 0.7494),
    (PLAIN, "ar1, denoise", 1.6597, 0.0),  # gives y back
    (DDNM(num_steps=100), "ar1, inpaint", 0.5631, 1.6454),
    (DDNM(num_steps=100), "ar1, pool", 0.3686, 0.7550),
    (DDNM(num_steps=100), "ar1, denoise", 1.4055, 0.0153),
    (RHO, "ar1, inpaint", 0.4064, 1.3605),
    (RHO, "ar1, denoise", 0.9175, 2.5410),
    (DAPS(), "identity, inpaint", 0.3562, 1.8384),
    (DAPS(), "ar1, inpaint", 0.5484, 2.2894),  # twice the variance where nothing is observed
    (DAPS(), "ar1, denoise", 0.3603, 1.2328),
    (RePaint(repetitions=1), "ar1, inpaint", 0.4893, 1.3846),
    (RePaint(), "ar1, inpaint", 0.1538, 0.9059),  # repetitions help, more steps do not
    (RePaint(), "ar1, denoise", 0.0978, 0.8185),
]
ALL = [
    TMPD(num_steps=10),
    PiGDM(num_steps=10),
    DDNM(num_steps=10),
    DPS(num_steps=10, zeta=0.3),
    DiffPIR(num_steps=10, weight=7.0),
    RePaint(num_steps=10, jump=2, repetitions=2),
    DAPS(num_steps=5, num_ode_steps=2),
    SplitGibbs(num_rounds=4, num_steps=3, eta=0.1),
]


def named(value: object) -> str | None:
    return value.name if isinstance(value, PosteriorSampler) else None


@pytest.mark.parametrize(("algorithm", "case", "w2", "ratio"), PINNED, ids=named)
def test_the_bias_is_what_it_was(algorithm: PosteriorSampler, case: str, w2: float, ratio: float) -> None:
    assert relative(algorithm, *CASES[case]()) == pytest.approx((w2, ratio), abs=1e-3)


def drawn(algorithm: PosteriorSampler, case: str, num: int = 3000) -> tuple[float, float]:
    """W2 over the root of the trace, and the ratio of variances, by draws."""
    world, operator, y, sigma = CASES[case]()
    x = algorithm.draw(world, Problem(operator, y.expand(num, *y.shape), sigma, Streams(num))).x
    mean, covariance = world.posterior(operator, y[None], sigma)
    return relative_w2(x, mean, covariance), (torch.cov(x.T).trace() / covariance.trace()).item()


class Streams(Noise):
    """One generator for all lanes, which is faster."""

    def __init__(self, num: int) -> None:
        self.num, self.generator = num, torch.Generator().manual_seed(0)

    def normal(self, like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=like.dtype)


def test_split_gibbs_is_near_the_posterior() -> None:
    w2, ratio = drawn(SplitGibbs(num_rounds=100, eta=0.05), "ar1, denoise", 2000)
    assert w2 < 0.1 and 0.8 < ratio < 1.0
    assert drawn(SplitGibbs(num_rounds=10, eta=0.5), "ar1, inpaint", 500)[0] > 0.5  # it ends far from eta = 0


@pytest.mark.slow
def test_split_gibbs_goes_on_to_the_posterior() -> None:
    assert drawn(SplitGibbs(num_rounds=400, eta=0.05), "ar1, inpaint")[0] < 0.1


def test_dps_ends_at_the_data_when_it_denoises() -> None:
    assert drawn(DPS(num_steps=200, zeta=0.1), "ar1, denoise", 500)[1] < 0.05
    assert drawn(DPS(num_steps=200, zeta=0.1), "identity, inpaint")[0] == pytest.approx(0.045, abs=0.02)


@pytest.mark.parametrize("algorithm", [PiGDM(200), DDNM(), RHO, RePaint(), DAPS()], ids=named)
def test_without_noise_what_is_observed_is_the_data(algorithm: PosteriorSampler) -> None:
    world, operator = World((8,), "ar1"), identity((8,))
    y = world.draw(3)
    x = algorithm.draw(world, Problem(operator, y, 0.0, Noise.of([(k,) for k in range(3)]))).x
    assert torch.allclose(x, y, atol=1e-3 if algorithm.name == "pigdm" else 1e-9)


@pytest.mark.parametrize(("algorithm", "nfe"), [(ALL[0], 50), (ALL[1], 30), (ALL[2], 10), (ALL[3], 30), (ALL[6], 10)])
def test_network_evaluations_are_counted(algorithm: PosteriorSampler, nfe: int) -> None:
    world, operator, y, sigma = CASES["ar1, inpaint"]()
    assert algorithm.draw(world, Problem(operator, y[None], sigma, Noise.of([(0,)]))).nfe == nfe


def test_what_cannot_be_taken_is_refused() -> None:
    skewed = Matrix(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert gain(pool()) == pytest.approx(0.5) and gain(identity((8,))) == pytest.approx(1.0) and gain(skewed) == 0.0
    assert DDNM().refusal(skewed, 0.1).startswith("needs an operator with A A^T = g I")
    assert RePaint().refusal(pool(), 0.1) == "needs a mask" and RePaint().refusal(identity((8,)), 0.1) == ""
    assert TMPD().refusal(pool(), 0.0).startswith("needs noise") and TMPD().refusal(pool(), 0.1) == ""


def test_the_levels_that_repaint_visits() -> None:
    down = [(k, k + 1) for k in range(6)]
    assert visits(6, 2, 1, 6) == down
    assert visits(6, 2, 2, 6) == [*down[:4], (4, 2), *down[2:6], (6, 4), *down[4:6]]
    assert visits(6, 2, 2, 5) == [*down[:3], (3, 1), *down[1:5], (5, 3), *down[3:6]]


def test_a_draw_of_the_prox_is_the_posterior_of_a_gaussian_around_the_point() -> None:
    world, operator = World((8,), "identity"), pool()
    y = operator(world.draw(1))
    asked = Problem(operator, y.expand(4000, 4), 0.3, Streams(4000))
    x = prox.draw(asked, world.mean.expand(4000, 8), 1.0)
    mean, covariance = world.posterior(operator, y, 0.3)
    assert relative_w2(x, mean, covariance) < 0.05
    assert torch.allclose(prox.mode(asked, world.mean[None], 0.09)[:1], mean, atol=1e-9)


def test_no_new_noise_is_ddim() -> None:
    levels, x = [Level(0.6, 0.8), Level(0.8, 0.6), DATA], torch.randn(4, 3)
    denoise: Callable = lambda x, level: Denoised(0.5 * x)  # noqa: E731
    assert torch.allclose(Renewing(zeta=0.0)(denoise, x, levels), DDIM()(denoise, x, levels))
