"""DDIM inversion of a Gaussian with its exact denoiser: the code is S^(-1/2) (x - m), and the way back ends where it began."""

import pytest
import torch
from torch import Tensor

from genarena.spec import DataSpec
from genarena.tasks.editing.codes import DDIMInversion
from genarena.tasks.editing.probability_flow import Flow
from tests.tasks.world import World


def whitened(world: World, x: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(world.covariance)
    root = vectors / values.sqrt() @ vectors.T
    return ((x.flatten(1) - world.mean) @ root).unflatten(1, world.shape)


@pytest.mark.parametrize("kind", ["random", "ar1", "identity"])
def test_the_code_tends_to_the_whitened_image_and_the_round_trip_to_the_identity(kind: str) -> None:
    world = World(kind=kind)
    x = world.draw(40)
    wanted, errors, trips = whitened(world, x), [], []
    for steps in (50, 200, 800):
        z = Flow(world, steps).to_noise(x)
        errors.append((z - wanted).square().mean().sqrt().item())
        trips.append((Flow(world, steps).to_data(z) - x).square().mean().sqrt().item())
    assert errors[2] < 0.02 and trips[2] < 0.005, (errors, trips)
    if kind != "identity":  # there both directions err alike
        assert errors[0] > 2.5 * errors[1] > 5.0 * errors[2], errors  # first order: four times the steps, a quarter
        assert trips[0] > 2.5 * trips[1] > 5.0 * trips[2], trips


class Classes(World):
    """N(m_y, S), two classes: y (N, 2) are shares of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = DataSpec(self.shape, 17, 2, condition="label")
        self.means = torch.stack([self.mean, -self.mean.flip(0)])

    def denoise(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        shift = (y.double() @ self.means - self.mean).unflatten(1, self.shape)
        a = self.marginal(t)[0][0]
        return shift + super().denoise(x_t - a * shift, t)


def test_a_code_that_is_read_under_another_condition_moves_by_the_means() -> None:
    world, steps = Classes(), 800
    x, codes = world.draw(40), DDIMInversion(steps).codes(world)
    y = torch.eye(2)[torch.zeros(40, dtype=torch.long)]
    z = codes.encode(x, y)
    assert torch.allclose(z.unflatten(1, world.shape), whitened(world, x), atol=0.1)
    for share in (0.0, 0.3, 1.0):
        given = y.lerp(y.flip(1), share)
        wanted = x.flatten(1) + share * (world.means[1] - world.means[0])
        assert torch.allclose(codes.decode(z, given).flatten(1), wanted, atol=0.03), share


def test_a_path_that_keeps_some_of_the_data() -> None:
    """The code is x_1 / s(1), whose mean is not quite that of the noise."""
    world = World(last=0.8)
    a, s = (part.item() for part in world.marginal(torch.ones(1)))
    values, vectors = torch.linalg.eigh(world.covariance)
    root = vectors * ((a**2 * values + s**2) / values).sqrt() @ vectors.T
    x = world.draw(40)
    wanted = (a * world.mean + (x.flatten(1) - world.mean) @ root) / s
    assert torch.allclose(Flow(world, 800).to_noise(x).flatten(1), wanted, atol=0.02)


def test_codes_are_vectors_and_do_not_depend_on_the_batch() -> None:
    world = World()
    world.spec = type("Spec", (), {"shape": world.shape, "condition": None})
    codes, x = DDIMInversion(steps=20).codes(world), world.draw(70)
    z = codes.encode(x)
    assert z.shape == (70, 6) and codes.nfe == (20, 20)
    assert torch.allclose(codes.encode(x[66:]), z[66:], rtol=0.0, atol=1e-4) and codes.decode(z).shape == x.shape
