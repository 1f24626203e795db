"""Total variation against its optimality condition and a closed form; blurs."""

import pytest
import torch

from genarena.tasks.floors import total_variation
from genarena.tasks.floors.blur import blur


def test_a_constant_stays_constant() -> None:
    x = torch.full((2, 3, 8, 9), 0.3, dtype=torch.float64)
    assert torch.equal(total_variation.denoise(x, 0.5), x)
    assert torch.allclose(blur(x, 1.7), x, atol=1e-12)


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
    y = torch.rand(6, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(total_variation.denoise(y, 0.1)[2:3], total_variation.denoise(y[2:3], 0.1), atol=1e-14)


def test_without_strength_every_method_gives_its_input() -> None:
    y = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(blur(y, 0.0), y)
    assert torch.allclose(blur(y, 0.05), y, atol=1e-12)
    assert torch.allclose(total_variation.denoise(y, 1e-6), y, atol=1e-5)
    assert torch.equal(total_variation.denoise(y, 0.0), y)


def test_total_variation_is_that_of_scikit_image() -> None:
    restoration = pytest.importorskip("skimage.restoration")
    y = torch.rand(1, 1, 12, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for weight in (0.05, 0.2):
        wanted = restoration.denoise_tv_chambolle(y[0, 0].numpy(), weight=weight, eps=1e-9, max_num_iter=20_000)
        assert torch.allclose(total_variation.denoise(y, weight, 3000)[0, 0], torch.from_numpy(wanted), atol=2e-3)
