"""Neural spline flows: exact densities in both modes, and the inverse."""

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.flow.nsf import NSF
from genarena.spec import Batch, DataSpec
from tests.models.plane import check_density_on_the_plane

MODES = ("coupling", "autoregressive")


def perturbed(model: NSF, x: Tensor, scale: float) -> NSF:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_vectors(num_dims: int, mode: str, scale: float = 0.15) -> NSF:
    torch.manual_seed(0)
    model = NSF(DataSpec((num_dims,)), mode=mode, num_layers=3, hidden=(16, 16), num_bins=5)
    return perturbed(model, 2.0 * torch.randn(256, num_dims) + 1.0, scale)


def on_images(shape: tuple[int, int, int], mode: str, **options: object) -> NSF:
    torch.manual_seed(0)
    sizes = {"hidden_channels": 8, "num_steps": 2, "num_layers": 2, "hidden": (16,)}
    x = torch.randint(4, (32, *shape), dtype=torch.uint8)
    return perturbed(NSF(DataSpec(shape, 4), mode=mode, **sizes, **options), x, 0.05)


@pytest.mark.parametrize("mode", MODES)
def test_density_on_the_plane_integrates_to_one(mode: str) -> None:
    model = on_vectors(2, mode)
    check_density_on_the_plane(model)
    assert model.likelihood is Likelihood.EXACT


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_dims", [2, 5])
def test_log_det_against_autograd_and_inverse(num_dims: int, mode: str) -> None:
    model = on_vectors(num_dims, mode)
    x = 2.0 * torch.randn(6, num_dims, generator=torch.Generator().manual_seed(1)) + 1.0
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x]
    z, log_det = model.flow(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=2e-5, rtol=0.0)
    torch.testing.assert_close(model.decode(z), x, atol=2e-5, rtol=0.0)


PAPER = {"factor_out": False, "num_blocks": 1}


@pytest.mark.parametrize(("mode", "options"), [("coupling", {}), ("coupling", PAPER), ("autoregressive", {})])
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 2)])
def test_images_log_det_against_autograd_and_inverse(
    shape: tuple[int, int, int], mode: str, options: dict[str, object]
) -> None:
    model = on_images(shape, mode, **options).double()
    u = 0.02 + 0.96 * torch.rand(2, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    z, log_det = model.flow(u)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-6, rtol=0.0)
    torch.testing.assert_close(model.flow.inverse(z), u, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("mode", MODES)
def test_every_dimension_is_changed_by_a_spline(mode: str) -> None:
    """Of an odd number of dimensions, too: the second derivative of an affine flow would be zero."""
    model, x = on_vectors(3, mode).double(), torch.zeros(1, 3, dtype=torch.float64) + 0.4
    for d in range(3):
        along = torch.linspace(-1.0, 1.0, 21, dtype=torch.float64)[:, None] * torch.eye(3, dtype=torch.float64)[d]
        z = model.encode(x + along)
        bends = z.diff(dim=0).diff(dim=0).abs().amax(0)
        assert (bends > 1e-6).any()


def test_a_new_flow_is_a_standardisation() -> None:
    x = 3.0 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) + torch.arange(4.0)
    for mode in MODES:
        model = NSF(DataSpec((4,)), mode=mode, num_layers=2)
        model.loss(Batch(x))
        torch.testing.assert_close(model.encode(x), (x - x.mean(0)) / x.std(0, correction=0), atol=1e-4, rtol=1e-4)
    assert (NSF(DataSpec((4,))).nfe, NSF(DataSpec((4,)), mode="autoregressive").nfe) == (1, 4)


@pytest.mark.parametrize("mode", MODES)
def test_levels_survive_encoding_and_decoding(mode: str) -> None:
    model = on_images((1, 4, 4), mode)
    x = torch.randint(4, (5, 1, 4, 4), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.decode(model.encode(x)), x)


def test_refusals() -> None:
    for mode in MODES:
        with pytest.raises(ValueError, match="at least 2 dimensions"):
            NSF(DataSpec((1,)), mode=mode)
        with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
            NSF(DataSpec((5,), 4), mode=mode)
    with pytest.raises(ValueError, match="7x7: expected even sizes"):
        NSF(DataSpec((1, 7, 7), 4))
    with pytest.raises(ValueError, match="num_bins=1: expected 2 to 500"):
        NSF(DataSpec((4,)), num_bins=1)
