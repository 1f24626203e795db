"""SDEdit of a Gaussian with its exact denoiser has the mean and the covariance of theory, to the error of its steps.

Every update is affine: the mean is the image without noise, and a column of the covariance's root is what one number of the
noise adds, so nothing is sampled.
"""

import math

import pytest
import torch
from torch import Tensor

from genarena.models.capabilities import Emits
from genarena.tasks.editing.noising import EncodeNoiseDecode, SDEdit
from genarena.tasks.noise import Noise
from tests.tasks.editing.worlds import Pixels, digits
from tests.tasks.world import World


def moments(world: World, algorithm: SDEdit, guide: Tensor, t: float, num_draws: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of the images from one guide (*shape)."""
    size, calls = guide.numel(), iter(range(num_draws))

    def basis(like: Tensor) -> Tensor:
        """Draw k: lane k D + i has a one at number i; the last lane has none."""
        number, found = next(calls), torch.zeros_like(like).flatten(1)
        found[number * size + torch.arange(size), torch.arange(size)] = 1.0
        return found.view_as(like)

    lanes = guide.expand(num_draws * size + 1, *guide.shape)
    x = algorithm.draw(world, lanes, t, basis).flatten(1)
    columns = x[:-1] - x[-1]
    return x[-1], columns.T @ columns


@pytest.mark.parametrize("alpha_bar", [0.85, 0.49, 0.20])
@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_moments_are_those_of_theory(sampler: str, alpha_bar: float) -> None:
    world, steps = World(kind="ar1"), 200
    a, s = alpha_bar**0.5, (1.0 - alpha_bar) ** 0.5
    t = 2.0 / math.pi * math.acos(a)
    guide = world.draw(1, seed=5)[0] + 0.7
    found = moments(world, SDEdit(sampler, steps), guide, t, steps if sampler == "ancestral" else 1)
    eye, covariance = torch.eye(6, dtype=torch.float64), world.covariance
    inverse = (a**2 * covariance + s**2 * eye).inverse()
    gap = guide.flatten() - world.mean
    gain = a**2 * covariance @ inverse
    if sampler == "ancestral":
        wanted = world.mean + gain @ gap, (eye - gain) @ covariance + (s / a) ** 2 * gain @ gain.T
    else:
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * (values / (a**2 * values + s**2)).sqrt() @ vectors.T
        wanted = world.mean + a * root @ gap, s**2 * covariance @ inverse
    assert ((found[0] - wanted[0]) / wanted[1].diagonal().sqrt()).abs().max() < 0.012
    ratio = found[1].diagonal() / wanted[1].diagonal()
    assert 0.976 < ratio.min() and ratio.max() < 1.003, ratio
    assert torch.allclose(found[1], wanted[1], atol=0.02)


def test_a_lane_does_not_depend_on_its_batch() -> None:
    world = World()
    guides, keys = world.draw(5), [(k,) for k in range(5)]
    whole = SDEdit(steps=10).draw(world, guides, 0.5, Noise.of(keys).normal)
    alone = SDEdit(steps=10).draw(world, guides[3:4], 0.5, Noise.of(keys[3:4]).normal)
    assert torch.allclose(whole[3:4], alone, atol=1e-12)
    little = SDEdit(steps=10).draw(world, guides, 0.01, Noise.of(keys).normal)
    assert torch.allclose(little, guides, atol=0.1)


def test_noise_on_codes_keeps_their_variance() -> None:
    data = digits()
    model = Pixels(data.spec)
    assert isinstance(model, Emits)
    generator = torch.Generator().manual_seed(0)
    guide = (torch.randint(0, 17, (400, 1, 8, 8), generator=generator) / 8.0) - 1.0
    draws = {
        t: EncodeNoiseDecode().draw(model, guide, t, Noise.of([(k,) for k in range(400)]).normal)
        for t in (1e-6, 0.6, 1.0)
    }
    assert torch.allclose(draws[1e-6], guide, atol=1e-4)
    assert torch.allclose(draws[0.6], 0.8 * guide + 0.6 * draws[1.0], atol=1e-5)
    assert draws[1.0].std().item() == pytest.approx(1.0, abs=0.02)
