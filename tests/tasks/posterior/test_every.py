"""What every posterior sampler must do: lanes that depend on nothing else, the prior where nothing is measured, the data where
all is, units and float types that change nothing."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior.ancestral import Ancestral
from genarena.tasks.posterior.base import PosteriorSampler
from genarena.tasks.posterior.clamp import Clamp
from genarena.tasks.posterior.closed_form import ClosedForm
from genarena.tasks.posterior.daps import DAPS
from genarena.tasks.posterior.ddnm import DDNM
from genarena.tasks.posterior.diffpir import DiffPIR
from genarena.tasks.posterior.dps import DPS
from genarena.tasks.posterior.elliptical_slice import EllipticalSlice
from genarena.tasks.posterior.every import ALGORITHMS, OF_VECTORS
from genarena.tasks.posterior.importance_resampling import ImportanceResampling
from genarena.tasks.posterior.langevin import Langevin
from genarena.tasks.posterior.latent_optimisation import LatentOptimisation
from genarena.tasks.posterior.metropolis_within_gibbs import MetropolisWithinGibbs
from genarena.tasks.posterior.mmps import MMPS
from genarena.tasks.posterior.one_step import OneStep
from genarena.tasks.posterior.pigdm import PiGDM
from genarena.tasks.posterior.pseudo_gibbs import PseudoGibbs
from genarena.tasks.posterior.repaint import RePaint
from genarena.tasks.posterior.smc import SequentialMonteCarlo
from genarena.tasks.posterior.split_gibbs import SplitGibbs
from genarena.tasks.posterior.tmpd import TMPD
from tests.tasks.affine import relative
from tests.tasks.posterior.test_encoders import Holed
from tests.tasks.posterior.test_factorised import SPEC, exact, model, world
from tests.tasks.posterior.test_langevin import Density
from tests.tasks.ppca import PPCA, Together
from tests.tasks.world import World, relative_w2

SHORT = [
    ClosedForm(),
    MMPS(num_steps=10, num_iterations=9),  # in 8 dimensions the solver then comes to its end
    SplitGibbs(num_rounds=4, num_steps=3, eta=0.1),
    PiGDM(num_steps=10),
    TMPD(num_steps=10),
    RePaint(num_steps=10, jump=2, repetitions=2),
    DiffPIR(num_steps=10, weight=7.0),
    DAPS(num_steps=5, num_ode_steps=2),
    DDNM(num_steps=10),
    DPS(num_steps=10, zeta=0.3),
    OneStep(),
    Langevin(num_steps=5),
    EllipticalSlice(num_steps=4),
    MetropolisWithinGibbs(num_steps=4),
    PseudoGibbs(num_steps=3),
    LatentOptimisation(num_steps=3, num_restarts=2),
    SequentialMonteCarlo(num_particles=4),
    Clamp(),
    Ancestral(),
    ImportanceResampling(num_codes=4),
]
LATENT, FACTORISED = (
    (EllipticalSlice, MetropolisWithinGibbs, PseudoGibbs, LatentOptimisation),
    (SequentialMonteCarlo, Clamp, Ancestral),
)
NUM = 16


def named(value: object) -> str | None:
    return value.name if isinstance(value, PosteriorSampler) else None


every = pytest.mark.parametrize("sampler", SHORT, ids=named)


def test_none_is_left_out() -> None:
    assert {type(each) for each in SHORT} == {*ALGORITHMS, *OF_VECTORS}


def model_for(sampler: PosteriorSampler) -> Any:
    if isinstance(sampler, FACTORISED):
        return model()
    if isinstance(sampler, ImportanceResampling):
        return Holed()
    if isinstance(sampler, Langevin):
        return Density()
    return PPCA() if isinstance(sampler, LATENT) else World((8,), "ar1")


def measured(sampler: PosteriorSampler) -> tuple[Tensor, Tensor, float]:
    """y of 16 lanes, also where it is not measured; masks that differ as far as the sampler takes them, and sigma."""
    generator = torch.Generator().manual_seed(0)
    shape = SPEC.shape if isinstance(sampler, FACTORISED) else (8,)
    y, m = torch.randn(NUM, *shape, generator=generator).double(), torch.rand(NUM, *shape, generator=generator) < 0.5
    m[::5] = False
    if isinstance(sampler, OneStep):
        m = torch.ones(1, *shape, dtype=torch.bool)
    if isinstance(sampler, Ancestral):  # beginnings of the order
        m = torch.arange(9).view(SPEC.shape) < torch.arange(NUM).view(-1, 1, 1, 1) % 10
    if isinstance(sampler, FACTORISED):
        y = (y > 0).float() * 2 - 1
    return y, m, 0.0 if isinstance(sampler, Ancestral) else 0.2


class Same(Noise):
    """Numbers of float64, in any type."""

    def _drawn(self, draw: object, like: Tensor) -> Tensor:
        return super()._drawn(draw, like.double()).to(like.dtype)

    def __getitem__(self, lanes: slice | Tensor) -> Noise:
        return Same(super().__getitem__(lanes).generators)


@torch.no_grad()
def drawn(sampler: PosteriorSampler, given: Any, asked: Problem) -> Tensor:
    return sampler.draw(given, asked).x


@every
def test_a_lane_is_the_same_alone_in_a_batch_of_16_and_in_another_order(sampler: PosteriorSampler) -> None:
    (y, m, sigma), given = measured(sampler), model_for(sampler)

    def of(lanes: list[int]) -> Tensor:
        every = Problem(Mask(m), y * m, sigma, Noise.of([(k,) for k in range(NUM)]))
        return drawn(sampler, given, every.rows(torch.tensor(lanes)))

    together, order = of(list(range(NUM))), torch.randperm(NUM, generator=torch.Generator().manual_seed(1)).tolist()
    assert not torch.equal(together[1], together[2])
    for lane in (0, 7):  # of lane 0 nothing is measured
        torch.testing.assert_close(of([lane])[0], together[lane], atol=1e-9, rtol=0)
    torch.testing.assert_close(of(order), together[order], atol=1e-9, rtol=0)


@every
def test_float32_agrees_with_float64(sampler: PosteriorSampler) -> None:
    (y, m, sigma), given = measured(sampler), model_for(sampler)

    def of(dtype: torch.dtype) -> Tensor:
        return drawn(sampler, given, Problem(Mask(m), (y * m).to(dtype), sigma, Same.of([(k,) for k in range(NUM)])))

    torch.testing.assert_close(of(torch.float32).double(), of(torch.float64).double(), atol=2e-3, rtol=1e-3)


LONG = [  # options with which the prior is reached
    ClosedForm(),
    *(kind(num_steps=100) for kind in (MMPS, PiGDM, TMPD, DDNM)),
    DiffPIR(num_steps=100, weight=7.0),
    DPS(num_steps=100, zeta=1.0),
    RePaint(num_steps=100, repetitions=2),
    DAPS(),
    SplitGibbs(num_rounds=10, num_steps=20, eta=0.1),
    Langevin(num_steps=100),
    EllipticalSlice(num_steps=3),
    MetropolisWithinGibbs(num_steps=5),
    PseudoGibbs(num_steps=5),
    LatentOptimisation(num_steps=200, num_restarts=1),
    SequentialMonteCarlo(num_particles=2),
    Clamp(),
    Ancestral(),
    ImportanceResampling(num_codes=4),
]
FAR = {"split_gibbs": 0.08}  # of few steps


@pytest.mark.parametrize("sampler", LONG, ids=named)
def test_where_nothing_is_measured_draws_are_those_of_the_prior(sampler: PosteriorSampler) -> None:
    given, num = model_for(sampler), 1000
    if isinstance(given, World) and not isinstance(sampler, Langevin):
        none = Mask(torch.zeros(1, 8, dtype=torch.bool))
        found = relative(sampler, given, none, torch.zeros(8, dtype=torch.float64), 0.05)[0]
        if isinstance(sampler, DAPS):  # its spread doubles the variance of what is not measured
            assert found == pytest.approx(0.345, abs=0.01)
        else:
            assert found < FAR.get(sampler.name, 0.06)
        return
    shape = SPEC.shape if isinstance(sampler, FACTORISED) else (8,)
    sigma = 0.0 if isinstance(sampler, Ancestral) else 0.1
    in_parts = len(shape) > 1 or isinstance(sampler, ImportanceResampling)
    noise = Noise.of([(k,) for k in range(num)]) if in_parts else Together(num)
    none = Problem(Mask(torch.zeros(1, *shape, dtype=torch.bool)), torch.zeros(num, *shape), sigma, noise)
    x = drawn(sampler, given, none if len(shape) > 1 else replace(none, y=none.y.double()))
    if sampler.is_point:
        assert torch.allclose(x, given.mean.expand_as(x), atol=1e-2)
    elif len(shape) > 1:
        wanted = (exact(given, none) @ world().flatten(1).to(torch.float64)).flatten()
        assert ((x > 0).double().mean(0).flatten() - wanted).abs().max() < 4 * 0.5 / num**0.5
    else:
        covariance = given.covariance() if callable(given.covariance) else given.covariance
        assert relative_w2(x, given.mean, covariance) < 0.1


@every
def test_where_all_is_measured_without_noise_draws_are_the_data(sampler: PosteriorSampler) -> None:
    y, given = measured(sampler)[0], model_for(sampler)
    whole = Mask(torch.ones(1, *y.shape[1:], dtype=torch.bool))
    asked = Problem(whole, y, 0.0, Noise.of([(k,) for k in range(NUM)]))
    if isinstance(sampler, TMPD | Langevin):
        with pytest.raises(ValueError, match="sigma=0|needs noise"):
            if said := sampler.refusal(whole, 0.0):
                raise ValueError(said)
            drawn(sampler, given, asked)
        return
    x = drawn(replace(sampler, num_steps=200) if isinstance(sampler, PiGDM) else sampler, given, asked)
    if isinstance(sampler, LatentOptimisation):  # what its code is decoded to, and no more
        off, w = x - given.mean, given.w
        assert torch.allclose(w @ torch.linalg.lstsq(w, off.T).solution, off.T, atol=1e-9)
        return
    near = {"split_gibbs": 0.5, "dps": 5.0, "pigdm": 1e-3, "mmps": 1e-4}.get(sampler.name, 1e-5)
    assert (x.double() - y.double()).abs().max() < near


DOUBLE = [  # options whose unit is that of the data are doubled too
    *((each, each) for each in (ClosedForm(), MMPS(10, num_iterations=8), *(SHORT[k] for k in (4, 5, 6, 7, 8, 10)))),
    (SHORT[2], replace(SHORT[2], eta=2 * SHORT[2].eta, first=2 * SHORT[2].first)),
    (SHORT[9], replace(SHORT[9], zeta=2 * SHORT[9].zeta)),
]


@pytest.mark.parametrize(("sampler", "of_double"), DOUBLE, ids=named)
def test_doubling_data_and_noise_doubles_the_draws(sampler: PosteriorSampler, of_double: PosteriorSampler) -> None:
    """PiGDM takes the variance of the prior for 1: it has a unit."""
    (y, m, sigma), once, double = measured(sampler), World((8,), "ar1"), World((8,), "ar1")
    double.mean, double.covariance = 2.0 * once.mean, 4.0 * once.covariance
    double.marginal = lambda t: (once.marginal(t)[0], 2.0 * once.marginal(t)[1])

    def of(sampler: PosteriorSampler, given: World, unit: float) -> Tensor:
        return drawn(sampler, given, Problem(Mask(m), unit * y * m, unit * sigma, Noise.of([(k,) for k in range(NUM)])))

    assert torch.allclose(of(of_double, double, 2.0), 2.0 * of(sampler, once, 1.0), atol=1e-6)
