"""The identity of MeanFlow on a Gaussian, whose average velocity is known, and its derivative on a network."""

from functools import partial

import pytest
import torch

from genarena.models.diffusion.meanflow import MeanFlow
from genarena.nets.by_shape import unet_or_mlp
from genarena.spec import Batch, DataSpec
from tests.models.labelled import WORLD, BestVelocity, data
from tests.models.test_flow_map import PLANE, best


def times(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """t and t - r, from r = t to r = 0."""
    t = torch.linspace(0.05, 1.0, num)
    return t, t * torch.linspace(0.0, 1.0, num)


@torch.no_grad()
def test_the_exact_average_velocity_obeys_the_identity_and_is_the_velocity_at_r_equal_t() -> None:
    """u = v - (t - r) du/dt (eq. 6)."""
    model, x, (t, d) = best(MeanFlow), data(20), times(20)
    v = BestVelocity()(x, t)
    torch.testing.assert_close(model.outputs(x, t, None), v, rtol=0, atol=1e-5)
    u, slope = model.average_and_slope(x, t, d, v)
    torch.testing.assert_close(u, v - d[:, None] * slope, rtol=0, atol=1e-5)
    assert (d[:, None] * slope).abs().max() > 0.1


def test_the_derivative_of_a_network_is_its_finite_difference() -> None:
    torch.manual_seed(0)
    net = partial(unet_or_mlp, hidden_channels=8, backend="math", time_scale=4.0)
    model = MeanFlow(DataSpec((1, 4, 4), 8), net=net).double().eval()
    model.average = lambda x, t, d, context: model.network(x, torch.stack([t, d], 1), context)  # not rounded to float32
    x, v, (t, d) = (
        torch.randn(3, 1, 4, 4).double(),
        torch.randn(3, 1, 4, 4).double(),
        (part.double() for part in times(3)),
    )
    u, slope = model.average_and_slope(x, t, d, v)
    h = 1e-5
    after, before = (model.average(x + s * v, t + s, d + s, None) for s in (h, -h))
    torch.testing.assert_close(slope, (after - before) / (2.0 * h), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(u, model.average(x, t, d, None))
    assert slope.abs().min() > 0


@torch.no_grad()
@pytest.mark.parametrize("tangent", ["data", "own"])
@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_the_exact_average_velocity_is_where_the_expected_gradient_is_zero(tangent: str, bias: float) -> None:
    """E[u + (t - r) du/dt - (eps - x_0) | x_t] = 0; a bias b (t - r) of u moves it by 2 b (t - r), less what x adds."""
    model, num = best(MeanFlow, bias=bias, tangent=tangent), 200_000
    t, d = torch.full((num,), 0.8), torch.full((num,), 0.5)
    x_0, eps = data(num), torch.randn(num, 2)
    x_t, v = 0.2 * x_0 + 0.8 * eps, eps - x_0
    off = model.predicted(x_t, t, d, v, None) - v
    slope = (off * x_t).mean(0), off.mean(0)  # the directions of a linear u
    error = (off * x_t).std(0) / num**0.5, off.std(0) / num**0.5
    for value, spread in zip(slope, error, strict=True):
        assert (value.abs() < 4.0 * spread).all() == (bias == 0.0)


@torch.no_grad()
def test_with_its_own_velocity_the_loss_of_the_exact_one_is_that_of_flow_matching(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Var[eps - x_0 | x_t] = c^2 / ((1 - t)^2 c^2 + t^2), whatever r is; along the data it is another value."""
    num, t, c = 200_000, 0.7, WORLD.spread
    drawn = torch.full((num,), t), torch.full((num,), 0.4)
    monkeypatch.setattr(MeanFlow, "drawn_times", lambda self, num, device: drawn)
    least = c**2 / ((1.0 - t) ** 2 * c**2 + t**2)
    found = {
        name: best(MeanFlow, tangent=name).loss(Batch(data(num)))["velocity_error"].item() for name in ("own", "data")
    }
    assert found["own"] == pytest.approx(least, rel=0.01)
    assert found["data"] != pytest.approx(least, rel=0.05)


def test_r_is_t_for_its_share_whose_times_are_those_of_one_draw() -> None:
    torch.manual_seed(0)
    model = MeanFlow(PLANE, far_share=0.25, time_mean=-0.4, time_std=0.7)
    t, d = model.drawn_times(40_000, torch.device("cpu"))
    assert (d[:10_000] > 0).all() and (d[10_000:] == 0).all() and (d <= t).all()
    single = t[10_000:].logit()  # if r = t were set after the ordering, it would be the larger of two
    assert single.mean().item() == pytest.approx(-0.4, abs=0.02) and single.std().item() == pytest.approx(0.7, abs=0.02)
    both = torch.cat([t[:10_000], (t - d)[:10_000]]).logit()
    assert both.mean().item() == pytest.approx(-0.4, abs=0.03)
    assert (t[:10_000] - d[:10_000]).logit().mean() < -0.7 < -0.1 < t[:10_000].logit().mean()


@pytest.mark.parametrize("far_share", [0.0, 0.5, 1.0])
def test_the_weight_has_no_gradient_and_the_derivative_neither(far_share: float) -> None:
    """With p = 1 the gradient of an example is that of its squared error over the error; p = 0 is the squared error itself."""
    torch.manual_seed(0)
    model, gradients = MeanFlow(PLANE, far_share=far_share, net=partial(unet_or_mlp, hidden_channels=8)), {}
    x = data(1)
    for power in (0.0, 1.0):
        model.power = power
        model.zero_grad()
        torch.manual_seed(1)
        terms = model.loss(Batch(x))
        terms["loss"].backward()
        gradients[power] = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    error = 2 * terms["velocity_error"].item()
    torch.testing.assert_close(gradients[1.0], gradients[0.0] * 2 / (error + 1e-3), rtol=1e-4, atol=1e-7)


def test_a_network_without_forward_derivatives_is_refused_in_one_line() -> None:
    with pytest.raises(
        ValueError, match=r"net\.backend=fused: this attention has no forward derivative; expected math"
    ):
        MeanFlow(DataSpec((1, 4, 4), 8), net=partial(unet_or_mlp, hidden_channels=8))
