"""Moment matching against exact posteriors of a Gaussian, whose draws are affine in their noise once the solver converges."""

from itertools import pairwise

import pytest
import torch

from genarena.models.diffusion.paths import Level
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise
from genarena.tasks.posterior import mmps
from genarena.tasks.posterior.denoiser import Prior
from genarena.tasks.posterior.mmps import MMPS, solved
from tests.tasks.affine import CASES, pool, relative
from tests.tasks.world import World, relative_w2

SAMPLERS = ("ancestral", "ddim", "dpm_solver", "heun", "edm_heun")


@pytest.mark.parametrize(
    ("case", "observed", "w2", "ratio"),
    [
        ("ar1, inpaint", 4, 0.0290, 0.949),
        ("ar1, pool", 4, 0.0363, 0.933),
        ("ar1, denoise", 8, 0.0249, 0.952),
    ],
)
def test_200_steps_are_near_the_posterior(case: str, observed: int, w2: float, ratio: float) -> None:
    found = relative(MMPS(num_steps=200, num_iterations=observed), *CASES[case]())
    assert found == pytest.approx((w2, ratio), abs=1e-3)
    assert found[0] < 0.06


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_goes_to_the_posterior_as_steps_grow(sampler: str) -> None:
    world, operator, y, sigma = CASES["ar1, inpaint"]()
    few, more = (
        relative(MMPS(num_steps=num, sampler=sampler, num_iterations=4), world, operator, y, sigma)[0]
        for num in (20, 60)
    )
    assert more < 0.5 * few
    assert more < 0.1


def test_the_default_number_of_iterations_is_near_too() -> None:
    world, operator, y, sigma = CASES["ar1, denoise"]()
    num = 2000
    asked = Problem(operator, y.expand(num, *y.shape), sigma, Noise.of([(k,) for k in range(num)]))
    drawn = MMPS(num_steps=50, sampler="dpm_solver").draw(world, asked)
    mean, covariance = world.posterior(operator, y[None], sigma)
    assert relative_w2(drawn.x, mean, covariance) < 0.06
    assert drawn.facts["residual"].shape == (num,)
    assert drawn.nfe == 50 * (1 + 3 * 2)


def test_without_an_observation_the_draws_are_those_of_the_prior() -> None:
    world = World((8,), "ar1")
    none = Mask(torch.zeros(1, 8, dtype=torch.bool))
    assert (
        relative(MMPS(num_steps=100, num_iterations=1), world, none, torch.zeros(8, dtype=torch.float64), 0.05)[0]
        < 0.06
    )


@pytest.mark.parametrize("operator", [identity((8,)), pool()], ids=["all", "pairs"])
def test_without_noise_what_is_observed_is_the_data(operator: Operator) -> None:
    world = World((8,), "ar1")
    y = operator(world.draw(3))
    asked = Problem(operator, y, 0.0, Noise.of([(k,) for k in range(3)]))
    x = MMPS(num_iterations=8).draw(world, asked).x
    assert torch.allclose(operator(x), y, atol=1e-6)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_lane_is_the_same_alone_in_a_batch_and_in_another_order(sampler: str) -> None:
    world, sigma = World((8,), "ar1"), 0.1
    masks = torch.rand(16, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    y = Mask(masks)(world.draw(16))

    def drawn(lanes: list[int]) -> torch.Tensor:
        noise = Noise.of([(k,) for k in lanes])
        algorithm = MMPS(num_steps=10, sampler=sampler)
        return algorithm.draw(world, Problem(Mask(masks[lanes]), y[lanes], sigma, noise)).x

    together = drawn(list(range(16)))
    assert torch.allclose(drawn([5]), together[[5]], atol=1e-9)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1)).tolist()
    assert torch.allclose(drawn(order), together[order], atol=1e-9)


def test_doubling_data_and_noise_doubles_the_draws() -> None:
    world, operator, y, sigma = CASES["ar1, pool"]()
    double = World((8,), "ar1")
    double.mean, double.covariance = 2.0 * world.mean, 4.0 * world.covariance
    double.marginal = lambda t: twice(world, t)

    def drawn(world: World, unit: float) -> torch.Tensor:
        asked = Problem(operator, unit * y[None], unit * sigma, Noise.of([(0,)]))
        return MMPS(num_steps=20, num_iterations=8).draw(world, asked).x

    assert torch.allclose(drawn(double, 2.0), 2.0 * drawn(world, 1.0), atol=1e-6)


def twice(world: World, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The path with noise in the new unit."""
    a, s = world.marginal(t)
    return a, 2.0 * s


def test_the_gradient_of_the_denoiser_is_the_covariance() -> None:
    world, level = World((8,), "ar1"), Level(0.8, 0.6)
    prior = Prior(world, Problem(identity((8,)), torch.zeros(8, 8, dtype=torch.float64), 1.0, Noise.of([()] * 8)))
    _, product = prior.linearised(torch.randn(8, 8, dtype=torch.float64), level)
    eye = torch.eye(8, dtype=torch.float64)
    wanted = (world.covariance.inverse() + (level.a / level.s) ** 2 * eye).inverse()
    assert torch.allclose(level.s**2 / level.a * product(eye), wanted, atol=1e-9)
    assert prior.nfe == 3


def test_the_solver_is_exact_after_as_many_iterations_as_dimensions_also_without_symmetry() -> None:
    generator = torch.Generator().manual_seed(0)
    v = torch.eye(6, dtype=torch.float64) + 0.4 * torch.randn(6, 6, generator=generator, dtype=torch.float64)
    a = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    right = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    right[1] = 0.0  # nothing to solve in this lane
    wanted = torch.linalg.solve(a @ v @ a.T + 0.1 * torch.eye(4), right.T).T @ a @ v.T
    norms = []
    for num in range(1, 6):
        _, change, left = solved(lambda u: u @ a @ v.T, lambda x: x @ a.T, 0.1, right, num)
        norms.append(left.norm().item())
    assert torch.allclose(change, wanted, atol=1e-9)
    assert all(after <= before + 1e-12 for before, after in pairwise(norms))
    assert norms[2] > 1e-6 > norms[3]
    _, single, _ = solved(lambda u: u @ a.float() @ v.T.float(), lambda x: x @ a.T.float(), 0.1, right.float(), 12)
    assert torch.allclose(single.double(), wanted, atol=1e-4)  # more products than dimensions


def test_a_good_first_direction_saves_iterations_and_the_solution_is_that_of_its_image() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    v, right = root @ root.T, torch.randn(3, 6, generator=generator, dtype=torch.float64)
    wanted = torch.linalg.solve(v + 0.1 * torch.eye(6), right.T).T
    near = 2.0 * wanted + 0.01 * torch.randn(3, 6, generator=generator, dtype=torch.float64)
    found, change, left = solved(lambda u: u @ v, lambda x: x, 0.1, right, 2, [near])
    assert torch.allclose(change, found @ v, atol=1e-9)
    assert torch.allclose(left, right - change - 0.1 * found, atol=1e-9)
    assert left.norm() < 0.2 * solved(lambda u: u @ v, lambda x: x, 0.1, right, 2)[2].norm()


def test_iterations_add_up_over_levels_and_one_alone_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    world, operator, y, sigma = CASES["ar1, denoise"]()

    def left(num: int) -> float:
        asked = Problem(operator, y.expand(8, *y.shape), sigma, Noise.of([(k,) for k in range(8)]))
        return MMPS(num_iterations=num).draw(world, asked).facts["residual"].mean().item()

    one, two = left(1), left(2)
    monkeypatch.setattr(mmps, "solved", lambda *given: solved(*given[:5]))  # each level from nothing
    assert one == left(1)
    assert two < 0.5 * left(2)
