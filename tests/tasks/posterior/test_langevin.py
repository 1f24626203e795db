"""Langevin chains against the exact posterior of a Gaussian: in its data, with noise on top of it, in codes of a bijection."""

import pytest
import torch
from torch import Tensor

from genarena.models.baseline.gmm import GMM
from genarena.models.capabilities import Differentiates, Emits
from genarena.models.energy.ebm import EBM
from genarena.models.energy.langevin import Langevin as ShortChain
from genarena.models.flow.realnvp import RealNVP
from genarena.tasks.linear.mask import Mask
from genarena.tasks.linear.problem import Problem
from genarena.tasks.posterior.langevin import Langevin
from tests.tasks.posterior.test_elliptical_slice import SPEC, images
from tests.tasks.ppca import Together
from tests.tasks.world import World, relative_w2

NUM = 1000


class Density(World, Differentiates):
    """log N(u; m, S + noise^2 I)."""

    def __init__(self, noise: float = 0.0, kind: str = "ar1") -> None:
        super().__init__((8,), kind)
        self.noise = noise

    def log_density(self, u: Tensor, y: Tensor | None = None) -> Tensor:
        wide = self.covariance + self.noise**2 * torch.eye(8, dtype=torch.float64)
        off = u - self.mean
        return -0.5 * (off @ wide.inverse() * off).sum(1)

    def sample(self, num: int, y: Tensor | None = None) -> Tensor:
        z = torch.randn(num, 8, dtype=torch.float64)
        return self.mean + z @ torch.linalg.cholesky(self.covariance).T


class Bijection(Density, Emits):
    """u = m + S^1/2 z."""

    latent_dim, bijective = 8, True

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.mean + z.double() @ torch.linalg.cholesky(self.covariance).T


def asked(world: World, sigma: float, m: Tensor, num: int = NUM) -> Problem:
    return Problem(Mask(m[None]), (world.draw(1) * m).expand(num, 8), sigma, Together(num))


HALF = torch.arange(8) % 2 == 0


@pytest.mark.parametrize("make", [Density, Bijection])
@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_the_chain_reaches_the_posterior(make: type[Density], sigma: float) -> None:
    world, problem = make(), asked(make(), sigma, HALF)
    made = Langevin(num_steps=300).draw(world, problem)
    mean, covariance = world.posterior(problem.operator, problem.y[:1], sigma)
    assert relative_w2(made.x, mean, covariance) < 0.1
    assert 0.4 < made.facts["acceptance"].mean() < 0.8


def test_nothing_measured_is_the_prior() -> None:
    world = Density()
    made = Langevin(num_steps=100).draw(world, asked(world, 0.1, torch.zeros_like(HALF)))
    assert relative_w2(made.x, world.mean, world.covariance) < 0.1


def test_a_density_of_noisy_data_restores_the_data() -> None:
    """u = x + noise n with x ~ N(m, I): all is scalar, and the result is the mean of x given u and y."""
    noise, sigma = 0.7, 0.3
    world = Density(noise, "identity")
    problem = asked(world, sigma, HALF)
    made = Langevin(num_steps=300).draw(world, problem).x
    mean, covariance = world.posterior(problem.operator, problem.y[:1], sigma)
    assert (made.mean(0) - mean[0]).abs().max() < 0.1
    left = noise**2 / (1 + noise**2)  # variance of x | u
    measured = left * sigma**2 / (left + sigma**2)  # of x | u, y
    expected = covariance.diagonal() - torch.where(HALF, measured, left)
    assert torch.allclose(made.var(0), expected, rtol=0.2, atol=0.004)


def test_sigma_zero_of_floats_is_refused() -> None:
    with pytest.raises(ValueError, match="sigma=0: "):
        Langevin().draw(Density(), asked(Density(), 0.0, HALF, 2))


@pytest.mark.parametrize("make", [GMM, EBM, RealNVP])
@torch.no_grad()
def test_a_lane_is_the_same_alone_and_in_a_batch(make: type) -> None:
    torch.manual_seed(0)
    model = make(SPEC, **({"sampler": ShortChain(steps=2)} if make is EBM else {})).eval()
    together = Langevin(num_steps=4).draw(model, images(16)).x
    state = torch.get_rng_state()
    alone = Langevin(num_steps=4).draw(model, images(16).rows(slice(11, 12))).x
    assert torch.equal(state, torch.get_rng_state()), "the generator of others is left alone"
    torch.testing.assert_close(alone[0], together[11], atol=1e-4, rtol=1e-4)
