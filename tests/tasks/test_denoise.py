"""Posterior means against linear algebra, total variation against its optimality condition and a closed form."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genarena.models.baseline.gaussian import Gaussian
from genarena.models.capabilities import Correlates, Denoises
from genarena.models.diffusion.ddpm import DDPM
from genarena.spec import Batch, DataSpec
from genarena.tasks import operators, total_variation
from genarena.tasks.denoise import Denoise, blur, closed_form, one_step, time_of
from tests.models.tiny import NARROW

SHAPE = (1, 2, 3)


class World(Correlates, Denoises):
    """Data N(mean, covariance) in [-1, 1] units, with its moments and its exact denoiser on a cosine path up to `last`."""

    def __init__(self, last: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(0)
        root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        self.mean = 0.3 * torch.randn(6, generator=generator, dtype=torch.float64)
        self.covariance, self.last = 0.02 * root @ root.T + 0.01 * torch.eye(6, dtype=torch.float64), last

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.mean, self.covariance

    def marginal(self, t: Tensor) -> tuple[Tensor, Tensor]:
        angle = t.double() * self.last * torch.pi / 2
        return angle.cos(), angle.sin()

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """In the form of precisions, which `closed_form` does not use."""
        a, s = (part[0] for part in self.marginal(t))
        precision = self.covariance.inverse()
        off = precision @ self.mean + a / s**2 * x_t.double().flatten(1)
        mean = torch.linalg.solve(precision + (a / s) ** 2 * torch.eye(6, dtype=torch.float64), off.T).T
        return mean.unflatten(1, SHAPE)

    def draw(self, num: int) -> Tensor:
        """(num, *SHAPE) in [0, 1] units."""
        generator = torch.Generator().manual_seed(1)
        z = torch.randn(num, 6, generator=generator, dtype=torch.float64)
        return (0.5 * (self.mean + z @ torch.linalg.cholesky(self.covariance).T + 1)).unflatten(1, SHAPE)


def posterior(world: World, sigma: float) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The posterior mean as a function of y, and the posterior covariance, in [0, 1] units, from the sum of precisions."""
    precision = (world.covariance / 4).inverse()
    covariance = (precision + torch.eye(6, dtype=torch.float64) / sigma**2).inverse()
    mean = (world.mean + 1) / 2
    return lambda y: (precision @ mean + y.flatten(1) / sigma**2) @ covariance, covariance


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.25, 1.0])
def test_closed_form_is_the_exact_posterior_mean(sigma: float) -> None:
    world = World()
    x = world.draw(50_000)
    y = x + sigma * torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    restored = closed_form(world, y, sigma)
    mean, covariance = posterior(world, sigma)
    assert torch.allclose(restored.flatten(1), mean(y), atol=1e-10)
    errors = (restored - x).square().flatten(1).sum(1)
    assert abs(errors.mean() - covariance.trace()) < 3 * errors.std() / len(errors) ** 0.5
    assert errors.mean() < 0.99 * (y - x).square().flatten(1).sum(1).mean()


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.25, 1.0])
def test_one_step_of_the_exact_denoiser_is_the_closed_form(sigma: float) -> None:
    world = World()
    y = world.draw(100) + sigma
    assert torch.allclose(one_step(world, y, sigma).double(), closed_form(world, y, sigma), atol=2e-5)


def test_a_path_with_too_little_noise_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task.sigma=0.6: the model's path has less noise, at most 0.5$"):
        time_of(World(last=0.5), 1.2)  # s / a = tan(pi / 4)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_time_of_a_ddpm_has_the_noise_asked_for(schedule: str) -> None:
    model = DDPM(DataSpec((1, 8, 8), 17), num_steps=100, schedule=schedule, net=NARROW)
    for ratio in (0.1, 0.2, 0.5, 3.0):
        a, s = model.marginal(time_of(model, ratio))
        assert (s / a).item() == pytest.approx(ratio, rel=1e-4)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_moments_of_a_gaussian_are_those_of_its_levels(covariance: str) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randint(0, 9, (400, 1, 1, 1), generator=generator)
    x = (base + torch.randint(0, 8, (400, 1, 2, 3), generator=generator)).to(torch.uint8)
    model = Gaussian(DataSpec(SHAPE, 17), covariance=covariance, shrinkage=1e-9)
    model.observe(Batch(x))
    mean, found = model.moments()
    scaled = 2 * operators.to_image(x, 17).flatten(1) - 1
    wanted = torch.cov(scaled.T, correction=0)
    assert torch.allclose(mean, scaled.mean(0), atol=1e-9)
    assert torch.allclose(found, wanted if covariance == "full" else wanted.diagonal(), atol=1e-6)


def test_a_diagonal_covariance_is_a_full_one_without_correlations() -> None:
    full, diagonal = World(), World()
    diagonal.covariance = full.covariance.diagonal()
    full.covariance = full.covariance.diagonal().diag()
    y = full.draw(10)
    assert torch.allclose(closed_form(full, y, 0.2), closed_form(diagonal, y, 0.2), atol=1e-12)


def test_without_noise_every_method_gives_its_input() -> None:
    world = World()
    y = world.draw(20)
    assert torch.allclose(closed_form(world, y, 1e-6), y, atol=1e-8)
    assert torch.allclose(one_step(world, y, 1e-4).double(), y, atol=1e-4)
    assert torch.equal(blur(y, 0.1, 0.0), y)
    assert torch.allclose(blur(y, 0.1, 0.05), y, atol=1e-12)
    assert torch.allclose(total_variation.denoise(y, 1e-6), y, atol=1e-5)
    assert torch.equal(total_variation.denoise(y, 0.0), y)


# -- classical methods ---------------------------------------------------------------------------------------------------


def test_a_constant_stays_constant() -> None:
    x = torch.full((2, 3, 8, 9), 0.3, dtype=torch.float64)
    assert torch.equal(total_variation.denoise(x, 0.5), x)
    assert torch.allclose(blur(x, 0.1, 1.7), x, atol=1e-12)


def test_divergence_is_the_negative_adjoint_of_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x, down, right = (torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64) for _ in range(3))
    along, across = total_variation.gradient(x)
    inner = (down * along + right * across).sum()
    assert torch.allclose((total_variation.divergence(down, right) * x).sum(), -inner)


@pytest.mark.parametrize("weight", [0.02, 0.1, 0.3])
def test_total_variation_satisfies_its_optimality_condition(weight: float) -> None:
    """x = y - weight div p minimises TV(x) + |x - y|^2 / (2 weight) if |p| <= 1 and TV(x) = <div p, x>: then the value of the
    dual problem is that of the primal one."""
    generator = torch.Generator().manual_seed(0)
    y = torch.rand(3, 1, 16, 16, generator=generator, dtype=torch.float64)
    down, right = total_variation.dual(y, weight)
    p = total_variation.divergence(down, right)
    x = total_variation.denoise(y, weight)
    assert torch.hypot(down, right).max() <= 1 + 1e-12
    primal = total_variation.total_variation(x) + (x - y).square().flatten(1).sum(1) / (2 * weight)
    dual = (p * y).flatten(1).sum(1) - weight / 2 * p.square().flatten(1).sum(1)
    assert (primal - dual >= -1e-9).all()
    assert ((primal - dual) / primal < 5e-3).all()


def test_total_variation_of_a_step_is_known() -> None:
    """Both sides move towards each other, by weight / width: the TV of a row is the height of its step."""
    y = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    y[..., 3:] = 1.0
    wanted = y.clone()
    wanted[..., :3] += 0.12 / 3
    wanted[..., 3:] -= 0.12 / 5
    assert torch.allclose(total_variation.denoise(y, 0.12, 3000), wanted, atol=1e-3)


def test_no_image_depends_on_its_batch() -> None:
    y = World().draw(6)
    assert torch.allclose(total_variation.denoise(y, 0.1)[2:3], total_variation.denoise(y[2:3], 0.1), atol=1e-14)


# -- noise and options -----------------------------------------------------------------------------------------------------


def test_noise_belongs_to_the_image() -> None:
    x = torch.randint(0, 17, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    drawn = operators.noise(x, 0)
    assert torch.equal(operators.noise(x.flip(0)[:7], 0), drawn.flip(0)[:7])
    assert not torch.equal(operators.noise(x, 1), drawn)
    assert abs(drawn.mean()) < 3 / drawn.numel() ** 0.5
    assert abs(drawn.var() - 1) < 3 * (2 / drawn.numel()) ** 0.5


def test_wrong_options_are_refused() -> None:
    for sigma, said in (
        ([0.1, -1], "task.sigma=-1"),
        ([], "at least one"),
        ([0.1, 0.1], "different"),
        (["a"], r"sigma=\['a'\]: expected a list, each of its values float"),
    ):
        with pytest.raises(ValueError, match=said):
            Denoise(sigma=sigma)
    with pytest.raises(ValueError, match="task.num_images=0: expected at least 1"):
        Denoise(num_images=0)
    with pytest.raises(
        ValueError, match=r"task.algorithm=dps: there is no such algorithm; available: closed_form, one_step"
    ):
        Denoise(algorithm="dps").algorithm_for(World())
    assert Denoise().algorithm_for(World()).name == "closed_form"
    assert Denoise(algorithm="one_step").algorithm_for(World()).exactness == "asymptotic"
