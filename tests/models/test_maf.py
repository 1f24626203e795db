"""Masked autoregressive flows: exact densities, causality, and an incremental inverse that is the plain one."""

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.flow.autoregressive import Flatten, MaskedAutoregressive
from genarena.models.flow.elementwise import Affine
from genarena.models.flow.maf import MAF
from genarena.nets.masked_mlp import MaskedMLP
from genarena.spec import Batch, DataSpec
from tests.models.plane import check_density_on_the_plane

DIRECTIONS = ("density", "sampling")


def perturbed(model: MAF, x: Tensor, scale: float = 0.1) -> MAF:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_vectors(num_dims: int, direction: str = "density", scale: float = 0.1) -> MAF:
    torch.manual_seed(0)
    model = MAF(DataSpec((num_dims,)), num_layers=3, hidden=(16, 12), direction=direction)
    return perturbed(model, 2.0 * torch.randn(256, num_dims) + 1.0, scale)


def on_images(direction: str = "density") -> MAF:
    torch.manual_seed(0)
    model = MAF(DataSpec((2, 3, 2), 4), num_layers=2, hidden=(16,), direction=direction)
    return perturbed(model, torch.randint(4, (32, 2, 3, 2), dtype=torch.uint8))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_density_on_the_plane_integrates_to_one(direction: str) -> None:
    model = on_vectors(2, direction)
    check_density_on_the_plane(model)
    assert model.likelihood is Likelihood.EXACT


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("num_dims", [2, 5])
def test_log_det_against_autograd_and_inverse(num_dims: int, direction: str) -> None:
    model, x = on_vectors(num_dims, direction), torch.randn(4, num_dims)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row) for row in x]
    z, log_det = model.flow(x)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=2e-5, rtol=0.0)
    torch.testing.assert_close(model.decode(z), x, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_images_log_det_against_autograd_and_inverse(direction: str) -> None:
    model, u = on_images(direction), 0.02 + 0.96 * torch.rand(3, 2, 3, 2)
    rows = [torch.autograd.functional.jacobian(lambda v: model.flow(v[None])[0][0], row).flatten(1) for row in u]
    z, log_det = model.flow(u)
    torch.testing.assert_close(log_det, torch.linalg.slogdet(torch.stack(rows))[1], atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(model.flow.inverse(z), u, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradients_are_those_of_finite_differences(direction: str) -> None:
    """Through the incremental inverse too, by which `sampling` is trained."""
    model = on_vectors(3, direction).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    weight = model.flow.bijections[1]
    weight = (weight.bijection if direction == "sampling" else weight).network.layers[1].weight
    (gradient,) = torch.autograd.grad(model.log_prob(x).sum(), weight)
    place, step, values = (11, 15), 1e-5, []
    assert gradient[place] != 0.0
    with torch.no_grad():
        for sign in (1, -1):
            weight[place] += sign * step
            values.append(model.log_prob(x).sum())
            weight[place] -= sign * step
    torch.testing.assert_close(gradient[place], (values[0] - values[1]) / (2 * step), atol=1e-7, rtol=1e-6)


def layer(num_dims: int, hidden: tuple[int, ...]) -> MaskedAutoregressive:
    torch.manual_seed(1)
    network = MaskedMLP(num_dims, hidden, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.5)
    return MaskedAutoregressive(network, Affine())


@pytest.mark.parametrize(("num_dims", "hidden"), [(7, (32, 24)), (2, (3,)), (20, (5, 40, 9))])
def test_every_output_depends_on_all_dimensions_before_its_own_and_on_no_other(
    num_dims: int, hidden: tuple[int, ...]
) -> None:
    network = layer(num_dims, hidden).network
    x = torch.randn(64, num_dims, requires_grad=True)
    outputs = network(x)
    for d in range(num_dims):
        (seen,) = torch.autograd.grad(outputs[:, :, d].square().sum(), x, retain_graph=True)
        assert (seen[:, d:] == 0.0).all()
        if min(hidden) >= num_dims - 1:  # with a unit of every degree in every layer
            assert (seen[:, :d].abs().sum(0) > 0.0).all()


@pytest.mark.parametrize(("num_dims", "hidden"), [(7, (32, 24)), (20, (5, 40, 9))])
def test_incremental_inverse_is_the_plain_one(num_dims: int, hidden: tuple[int, ...]) -> None:
    bijection, z = layer(num_dims, hidden), torch.randn(6, num_dims)
    plain = torch.zeros_like(z)
    with torch.no_grad():
        for _ in range(num_dims):  # after pass d the first d dimensions are right
            plain = bijection.elementwise.inverse(z, bijection.network(plain))
        torch.testing.assert_close(bijection.inverse(z), plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bijection.inverse(z), plain, atol=1e-5, rtol=1e-5)  # with a gradient


def test_the_inverse_computes_every_unit_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiplications of an inverse: at most those of one pass without masks, where D passes are D times as many."""
    counts, addmm = [], torch.addmm

    def counting(bias: Tensor, weight: Tensor, x: Tensor, **options: Tensor) -> Tensor:
        counts.append(weight.numel())
        return addmm(bias, weight, x, **options)

    bijection = layer(30, (64, 64))
    monkeypatch.setattr("genarena.nets.masked_mlp.torch.addmm", counting)
    bijection.inverse(torch.randn(2, 30))
    assert 0.4 * 64 * (30 + 64 + 60) < sum(counts) < 64 * (30 + 64 + 60)


def test_channels_of_a_pixel_follow_each_other() -> None:
    x = torch.arange(12.0).view(1, 3, 2, 2)  # channel 0 holds 0 .. 3, channel 1 holds 4 .. 7
    flat, _ = Flatten((3, 2, 2))(x)
    assert flat.tolist() == [[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]]
    assert torch.equal(Flatten((3, 2, 2)).inverse(flat), x)


def test_a_new_flow_is_a_standardisation_and_evaluations_are_counted() -> None:
    torch.manual_seed(0)
    x = 3.0 * torch.randn(500, 4) + torch.arange(4.0)
    model = MAF(DataSpec((4,)))
    model.loss(Batch(x))
    expected = (x - x.mean(0)) / x.std(0, correction=0)
    odd = expected.flip(1)  # five layers, five reversals
    torch.testing.assert_close(model.encode(x), odd, atol=1e-4, rtol=1e-4)
    assert (model.nfe, MAF(DataSpec((4,)), direction="sampling").nfe) == (4, 1)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        MAF(DataSpec((1,)))
    with pytest.raises(ValueError, match=r"shape \(5,\) with num_levels=4"):
        MAF(DataSpec((5,), 4))
    with pytest.raises(ValueError, match="layers of at least 1 unit"):
        MAF(DataSpec((5,)), hidden=())


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize(("weights", "values"), [(torch.float32, torch.float64), (torch.float64, torch.float32)])
def test_another_type_than_that_of_the_weights_is_refused(
    weights: torch.dtype, values: torch.dtype, grad: bool
) -> None:
    """One after the other as all at once: values are never rounded on the way."""
    network, x = MaskedMLP(3, (4,), 2).to(weights), torch.ones(2, 3, dtype=values)
    with torch.set_grad_enabled(grad):
        with pytest.raises(RuntimeError, match="dtype"):
            network(x)
        with pytest.raises(ValueError, match=f"^values are {values}, and the network is {weights}"):
            network.unroll(lambda outputs, d: x[None, :, d], 2)
        assert network.unroll(lambda outputs, d: outputs[:, 0] + 1.0, 2).dtype == weights


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("context_features", [0, 5])
def test_values_may_have_either_type_under_autocast(context_features: int, grad: bool) -> None:
    network, x = MaskedMLP(3, (4,), 2, context_features), torch.ones(2, 3)
    context = torch.ones(2, context_features) if context_features else None
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.set_grad_enabled(grad):
        for dtype in (torch.float32, torch.bfloat16):
            found = network.unroll(lambda outputs, d, to=dtype: (x[None, :, d] + outputs[:, 0]).to(to), 2, context)
            torch.testing.assert_close(found.float(), x)
