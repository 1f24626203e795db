"""RealNVP: exact density on vectors, a bound that adds up on images, and the inverse."""

import itertools

import pytest
import torch

from genarena.likelihood import Likelihood
from genarena.models.flow.couplings import ResidualNetwork
from genarena.models.flow.dequantisation import pixel_bijection
from genarena.models.flow.realnvp import RealNVP
from genarena.nets.sizes import chosen_in
from genarena.spec import Batch, DataSpec


def perturbed(model: RealNVP, x: torch.Tensor, scale: float) -> RealNVP:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_images(shape: tuple[int, int, int], num_levels: int, scale: float = 0.05, **options: object) -> RealNVP:
    torch.manual_seed(0)
    x = torch.randint(num_levels, (32, *shape), dtype=torch.uint8)
    return perturbed(RealNVP(DataSpec(shape, num_levels), hidden_channels=8, **options), x, scale)


def on_vectors(num_dims: int, scale: float = 0.1) -> RealNVP:
    torch.manual_seed(0)
    model = RealNVP(DataSpec((num_dims,)), num_couplings=6, hidden_features=16)
    return perturbed(model, 2.0 * torch.randn(256, num_dims) + 1.0, scale)


def test_density_on_the_plane_integrates_to_one() -> None:
    model, side, step = on_vectors(2), 500, 0.05
    axis = step * (torch.arange(side) - side / 2 + 0.5)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    with torch.no_grad():
        log_prob = model.log_prob(grid)
        inside = (grid.abs() < 2.0).all(1)
        mass, expected = log_prob.exp().sum() * step**2, log_prob[inside].exp().sum() * step**2
        share = (model.sample(20_000).abs() < 2.0).all(1).float().mean()
    torch.testing.assert_close(mass, torch.tensor(1.0), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(share, expected, atol=0.015, rtol=0.0)  # samples follow that density
    assert model.likelihood is Likelihood.EXACT
    torch.testing.assert_close(model.log_prob(grid[:3], num_samples=7), log_prob[:3])


@pytest.mark.parametrize("num_dims", [2, 5])
def test_vectors_log_det_and_inverse(num_dims: int) -> None:
    model, x = on_vectors(num_dims), torch.randn(3, num_dims)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x]
    z, log_det = model.flow(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.decode(z), x, atol=1e-4, rtol=0.0)


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 3, 3)])
def test_images_log_det_against_autograd(shape: tuple[int, int, int]) -> None:
    model, u = on_images(shape, 4), torch.rand(3, *shape)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    torch.testing.assert_close(model.flow(u)[1], torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 8, 8), (1, 7, 5)])
def test_inverse(shape: tuple[int, int, int]) -> None:
    model = on_images(shape, 256, scale=0.03, patch=None)
    x = torch.randint(256, (2, *shape), dtype=torch.uint8)
    with torch.no_grad():
        u = (x + 0.5) / 256
        torch.testing.assert_close(model.flow.inverse(model.flow(u)[0]), u, atol=1e-4, rtol=0.0)
        assert torch.equal(model.decode(model.encode(x)), x)


def test_sizes_that_do_not_fit_are_refused() -> None:
    spec, nulls = DataSpec((1, 28, 28), 4), {"num_levels": None, "patch": None}
    assert chosen_in(RealNVP(spec), nulls) == {"num_levels": 3, "patch": 4}
    assert chosen_in(RealNVP(DataSpec((1, 7, 5), 4)), nulls) == {"num_levels": 1, "patch": 1}
    with pytest.raises(ValueError, match="^num_levels=4: expected 1 to 3 for images of 28x28$"):
        RealNVP(spec, num_levels=4)
    with pytest.raises(ValueError, match="^patch=3: expected 1, 2, 4, 7, 14 or 28 for images of 28x28$"):
        RealNVP(spec, patch=3)
    RealNVP(DataSpec((3,)), num_levels=9, patch=5)  # vectors have neither


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_logit_alpha_does_not_depend_on_the_number_of_levels(levels: int) -> None:
    """sec. 4.1: logit(0.05 + 0.9 u). Without a value, an end of the data is half a level from an end of the unit interval."""
    spec, ends = DataSpec((1, 2, 2), levels), torch.tensor([0.0, 1.0]).expand(1, 1, 2, 2)
    z = pixel_bijection("logit", 0.05, spec)(ends)[0]
    torch.testing.assert_close(torch.sigmoid(z), torch.tensor([0.05, 0.95]).expand_as(z))
    z = pixel_bijection("logit", None, spec)(ends)[0]
    edge = 0.5 / (levels + 1)
    torch.testing.assert_close(torch.sigmoid(z), torch.tensor([edge, 1.0 - edge]).expand_as(z))


def test_growth_is_per_squeeze() -> None:
    """The authors' code (real_nvp_multiscale_dataset.py): 2^i times the width at scale i, and twice that after its squeeze."""
    flow = RealNVP(DataSpec((3, 16, 16), 256), num_levels=3, hidden_channels=4, patch=1, growth=2).flow
    widths = [part.first.out_channels for part in flow.modules() if isinstance(part, ResidualNetwork)]
    assert widths == [4] * 3 + [8] * 3 + [8] * 3 + [16] * 3 + [16] * 4


def test_bound_adds_up_to_a_probability() -> None:
    model = on_images((1, 2, 2), 3, scale=0.05, pixels="logit", logit_alpha=3e-5)
    x = torch.tensor(list(itertools.product(range(3), repeat=4)), dtype=torch.uint8).view(-1, 1, 2, 2)
    totals = {}
    with torch.no_grad():
        for k, repeats in ((1, 100), (10, 20), (100, 4)):
            log_prob = model.log_prob(x.repeat(repeats, 1, 1, 1), num_samples=k)
            totals[k] = log_prob.view(repeats, -1).mean(0).exp().sum()
    assert totals[1] < totals[10] < totals[100] < 1.03
    assert totals[100] > 0.9


NICE = {"coupling": "additive", "base": "logistic", "pixels": "centred", "hidden_features": 8}


@pytest.mark.parametrize(
    ("shape", "multi_scale"), [((5,), True), ((1, 4, 4), False), ((2, 3, 3), False), ((1, 4, 4), True)]
)
def test_nice_changes_the_volume_by_a_constant(shape: tuple[int, ...], multi_scale: bool) -> None:
    """Before its logistic prior, whose logarithm stands in the same sum; the inverse, and the Jacobian of the whole."""
    torch.manual_seed(0)
    spec, num = DataSpec(shape, 4 if len(shape) == 3 else None), 6
    x = torch.randint(4, (32, *shape), dtype=torch.uint8) if spec.is_image else torch.randn(32, *shape)
    model = perturbed(RealNVP(spec, hidden_channels=8, multi_scale=multi_scale, **NICE), x, 0.1)
    u = torch.rand(num, *shape)
    before, _ = model.flow.bijections
    h, log_det = before(u)
    torch.testing.assert_close(log_det, log_det[:1].expand(num), atol=1e-5, rtol=1e-6)
    assert (h - h[:1] - (u - u[:1]).flatten(1)).std() > 0.01
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    z, total = model.flow(u)
    torch.testing.assert_close(total, torch.linalg.slogdet(torch.stack(rows))[1], atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(model.flow.inverse(z), u, atol=1e-5, rtol=0.0)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        RealNVP(DataSpec((1,)))
    with pytest.raises(ValueError, match=r"shape \(3, 4, 4\)"):
        RealNVP(DataSpec((3, 4, 4)))
    with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
        RealNVP(DataSpec((5,), 4))
