"""Glow: the whole flow is a bijection with the right determinant, and its bound adds up to a probability."""

import itertools

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.flow.glow import Glow
from genarena.nets.sizes import chosen_in
from genarena.spec import Batch, DataSpec


def glow(shape: tuple[int, int, int] = (1, 4, 4), num_levels: int = 3, scale: float = 0.1, **options: object) -> Glow:
    """A small model after its data-dependent initialisation, and away from it."""
    torch.manual_seed(0)
    model = Glow(DataSpec(shape, num_levels), num_steps=2, hidden_channels=8, **options)
    model.loss(Batch(torch.randint(num_levels, (32, *shape), dtype=torch.uint8)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return model.eval()


def every_image(shape: tuple[int, ...], num_levels: int) -> Tensor:
    size = torch.Size(shape).numel()
    return torch.tensor(list(itertools.product(range(num_levels), repeat=size)), dtype=torch.uint8).view(-1, *shape)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 2, 4)])
def test_log_det_against_autograd(shape: tuple[int, int, int]) -> None:
    model = glow(shape)
    u = torch.rand(3, *shape)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    expected = torch.linalg.slogdet(torch.stack(rows))[1]
    torch.testing.assert_close(model.flow(u)[1], expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 64, 64), (1, 8, 8), (2, 6, 10)])
def test_inverse(shape: tuple[int, int, int]) -> None:
    model = glow(shape, 256, scale=0.03)
    x = torch.randint(256, (2, *shape), dtype=torch.uint8)
    with torch.no_grad():
        u = (x + 0.5) / 256
        torch.testing.assert_close(model.flow.inverse(model.flow(u)[0]), u, atol=1e-4, rtol=0.0)
        assert torch.equal(model.decode(model.encode(x)), x)


@pytest.mark.parametrize("dequantisation", ["uniform", "variational"])
def test_bound_adds_up_to_a_probability(dequantisation: str) -> None:
    """sum_x exp(E[bound]) <= 1; it grows with the draws and reaches 1, as all mass of the pixels is inside the cube."""
    model = glow((1, 2, 2), 3, scale=0.04, dequantisation=dequantisation)
    x = every_image((1, 2, 2), 3)
    totals = {}
    with torch.no_grad():
        for k, repeats in ((1, 100), (10, 20), (100, 4)):
            log_prob = model.log_prob(x.repeat(repeats, 1, 1, 1), num_samples=k)
            totals[k] = log_prob.view(repeats, -1).mean(0).exp().sum()
    assert totals[1] < totals[10] < totals[100] < 1.03
    assert totals[100] > 0.9


@pytest.mark.parametrize(("pixels", "mass"), [("gaussianised", 1.0), ("logit", 1.0), ("centred", 0.0)])
def test_density_integrates_to_one(pixels: str, mass: float) -> None:
    """The density of u in the unit cube, by Monte Carlo; less than one where mass lies outside (centred pixels)."""
    model = glow((1, 2, 2), 3, scale=0.05, pixels=pixels, logit_alpha=3e-5)
    with torch.no_grad():
        z, log_det = model.flow(torch.rand(100_000, 1, 2, 2))
    density = (torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1) + log_det).exp()
    error = 5.0 * density.std() / 100_000**0.5
    assert density.mean() > mass - error
    assert density.mean() < 1.0 + (error if mass else -0.1)
    assert density.std() > 0.1


def test_kind_of_likelihood_and_refusals() -> None:
    assert glow().likelihood is Likelihood.LOWER_BOUND
    with pytest.raises(ValueError, match="7x7"):
        glow((1, 7, 7))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        Glow(DataSpec((2,)))
    with pytest.raises(ValueError, match="dequantisation='gauss'"):
        glow(dequantisation="gauss")
    with pytest.raises(ValueError, match="pixels='raw'"):
        glow(pixels="raw")
    with pytest.raises(ValueError, match="logit_alpha=0"):
        glow(pixels="logit", logit_alpha=0.0)


def test_number_of_scales_follows_the_size() -> None:
    def scales(size: int, **options: int) -> tuple[int, dict[str, int]]:
        model = Glow(DataSpec((1, size, size), 4), num_steps=1, hidden_channels=4, **options)
        return len(model.flow.bijections[1].levels), chosen_in(model, {"num_levels": None, "patch": None} | options)

    assert scales(28) == (2, {"num_levels": 2, "patch": 2}) and scales(6) == (1, {"num_levels": 1, "patch": 1})
    assert scales(32, num_levels=4, patch=4) == (4, {})  # nothing is left to choose
    assert scales(32, patch=4) == (2, {"num_levels": 2})
    with pytest.raises(ValueError, match="^num_levels=4: expected 1 or 2 for images of 28x28$"):
        scales(28, num_levels=4)
    with pytest.raises(
        ValueError, match="^patch=4: expected 1, 2, 7 or 14 for images of 28x28, which are halved first$"
    ):
        scales(28, patch=4)


def smooth_pictures(num: int, size: int) -> Tensor:
    """Colour pictures like faces: neighbouring pixels and colours nearly the same, some dark or bright throughout."""
    torch.manual_seed(0)
    coarse = 40.0 * torch.randn(num, 1, 3, 3) + 128.0 + 60.0 * torch.randn(num, 1, 1, 1)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic").expand(-1, 3, -1, -1)
    return (smooth + 5.0 * torch.randn(num, 3, size, size)).clamp(0, 255).to(torch.uint8)


def test_one_full_step_of_adam_does_not_make_pictures_run_away() -> None:
    """Couplings whose scale grows with their input amplify each other: on CelebA's faces |z| was 1e13 after this step."""
    batch = Batch(smooth_pictures(32, 16))
    torch.manual_seed(0)
    model = Glow(DataSpec((3, 16, 16), 256), num_steps=8, hidden_channels=128, patch=2).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2):  # the second step is the first that sees initialised activations and a network off zero
        optimizer.zero_grad()
        model.loss(batch)["loss"].backward()
        optimizer.step()
    u = (batch.x.double() + 0.5) / 256
    with torch.no_grad():
        assert model.encode(batch.x).abs().max() < 1e6
        # The trained flow magnifies rounding by about 1e4, so in float32 a pixel at the edge of its bin may change by a
        # level, and which one depends on the processor. In float64 the way back ends in the middle of the bin again.
        model.double()
        back = model.flow.inverse(model.flow(u)[0])
    assert back.dtype == torch.float64
    torch.testing.assert_close(256 * back, 256 * u, atol=1e-8, rtol=0.0)
