"""The bijections of `genarena.models.flow`: inverse and log-determinant against autograd, factors against matrices."""

import pytest
import torch
from torch import Tensor

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm, InvertibleConv, NormalisedConv
from genarena.models.flow.couplings import (
    AdditiveCoupling,
    ConvNetwork,
    MaskedCoupling,
    ResidualNetwork,
    SigmoidCoupling,
    SplitCoupling,
    VectorNetwork,
    channel_mask,
    checkerboard,
)
from genarena.models.flow.dequantisation import Centre, Gaussianise, Logit, VariationalDequantisation
from genarena.models.flow.multiscale import MultiScale, Squeeze, num_halvings
from genarena.models.flow.priors import LearnedPrior, LogisticPrior, SplitPrior
from genarena.spec import DataSpec

SHAPE = (4, 4, 2)


def perturbed(module: torch.nn.Module, scale: float = 0.1) -> torch.nn.Module:
    """The same module in eval mode, away from its initialisation."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def log_det_by_autograd(bijection: Bijection, x: Tensor) -> Tensor:
    def flat(row: Tensor) -> Tensor:
        return bijection(row.view(1, *x.shape[1:]))[0].flatten()

    jacobians = [torch.autograd.functional.jacobian(flat, row.flatten()) for row in x]
    return torch.linalg.slogdet(torch.stack(jacobians))[1]


BIJECTIONS = {
    "actnorm": (lambda: ActNorm(4), SHAPE),
    "actnorm_vector": (lambda: ActNorm(5), (5,)),
    "invertible_conv": (lambda: InvertibleConv(4), SHAPE),
    "normalised_conv": (lambda: NormalisedConv(4), SHAPE),
    "sigmoid_coupling": (lambda: SigmoidCoupling(ConvNetwork(2, 8, 4, patch=2, size=SHAPE[1:])), SHAPE),
    "split_coupling": (lambda: SplitCoupling(ConvNetwork(2, 8, 4, patch=2, size=SHAPE[1:])), SHAPE),
    "split_prior": (lambda: SplitPrior(4), SHAPE),
    "checkerboard": (lambda: MaskedCoupling(ResidualNetwork(4, 8, 8, 1, 2), checkerboard(SHAPE, False)), SHAPE),
    "channel_mask": (lambda: MaskedCoupling(ResidualNetwork(4, 8, 8, 1), channel_mask(SHAPE, True)), SHAPE),
    "vector_mask": (lambda: MaskedCoupling(VectorNetwork(5, 8, 10), checkerboard((5,), True)), (5,)),
    "additive_vector": (lambda: AdditiveCoupling(VectorNetwork(5, 8, 5, 0, 3), checkerboard((5,), False)), (5,)),
    "additive": (lambda: AdditiveCoupling(ResidualNetwork(4, 8, 4, 1, 2), checkerboard(SHAPE, True)), SHAPE),
    "squeeze": (Squeeze, SHAPE),
    "logistic_prior": (LogisticPrior, SHAPE),
    "learned_prior": (lambda: LearnedPrior(SHAPE), SHAPE),
    "centre": (Centre, SHAPE),
    "gaussianise": (lambda: Gaussianise(5), SHAPE),
    "logit": (lambda: Logit(0.01), SHAPE),
    "multi_scale": (
        lambda: MultiScale([NormalisedConv(4), Chain(Squeeze(), NormalisedConv(8))], [SHAPE, (8, 2, 1)]),
        SHAPE,
    ),
}


@pytest.mark.parametrize("name", BIJECTIONS)
def test_inverse_and_log_det(name: str) -> None:
    torch.manual_seed(0)
    build, shape = BIJECTIONS[name]
    bijection = perturbed(build())
    x = torch.rand(3, *shape)
    z, log_det = bijection(x)
    assert z[0].numel() == x[0].numel()
    assert log_det.shape == (3,)
    torch.testing.assert_close(log_det, log_det_by_autograd(bijection, x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bijection.inverse(z), x, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["split_coupling", "checkerboard", "channel_mask", "vector_mask", "additive_vector", "additive"]
)
def test_couplings_condition(name: str) -> None:
    """A coupling away from its initialisation is no elementwise map: the Jacobian has entries off the diagonal."""
    build, shape = BIJECTIONS[name]
    bijection = perturbed(build())
    jacobian = torch.autograd.functional.jacobian(lambda x: bijection(x)[0].flatten(), torch.rand(1, *shape)).flatten(1)
    assert (jacobian - torch.diag(jacobian.diagonal())).abs().max() > 1e-3


def test_masks() -> None:
    assert torch.equal(checkerboard((1, 2, 2), False)[0], torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    for mask in (checkerboard, channel_mask):
        assert torch.equal(mask((4, 2, 3), False) + mask((4, 2, 3), True), torch.ones(4, 2, 3))
    assert torch.equal(channel_mask((4, 1, 1), False).flatten(), torch.tensor([1.0, 1.0, 0.0, 0.0]))
    assert torch.equal(checkerboard((3,), True), torch.tensor([0.0, 1.0, 0.0]))


def test_lu_convolution_is_its_dense_matrix() -> None:
    torch.manual_seed(0)
    conv = InvertibleConv(6)
    start = conv.matrix()
    torch.testing.assert_close(start @ start.T, torch.eye(6), atol=1e-5, rtol=0.0)  # a rotation
    perturbed(conv)
    weight = conv.matrix()
    x = torch.randn(2, 6, 3, 5)
    z, log_det = conv(x)
    torch.testing.assert_close(z, torch.nn.functional.conv2d(x, weight[:, :, None, None]))
    torch.testing.assert_close(log_det, (15 * torch.linalg.slogdet(weight)[1]).expand(2))
    torch.testing.assert_close(conv.inverse_matrix(), torch.linalg.inv(weight), atol=1e-5, rtol=1e-5)


def test_normalised_conv_is_actnorm_then_conv() -> None:
    torch.manual_seed(0)
    folded = NormalisedConv(4)
    x = 3.0 + 2.0 * torch.randn(8, *SHAPE)
    z, log_det = folded(x)
    middle, first = folded.actnorm(x)
    expected, second = folded.conv(middle)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(log_det, first + second)
    torch.testing.assert_close(middle.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("shape", [(4,), (4, 3, 5)])
def test_actnorm_normalises_its_first_training_batch_and_only_that(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    first, second = 5.0 + 3.0 * torch.randn(64, *shape), -1.0 + 0.1 * torch.randn(64, *shape)
    actnorm = ActNorm(4)
    assert torch.equal(actnorm.eval()(first)[0], first)  # not in eval mode
    z = actnorm.train()(first)[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(z.var(1, correction=0), torch.ones(4), atol=1e-4, rtol=0.0)
    expected = actnorm(second)[0]
    loaded = ActNorm(4)
    loaded.load_state_dict(actnorm.state_dict())
    assert torch.equal(loaded.train()(second)[0], expected)  # saved and loaded: not initialised again
    assert loaded(second)[0].mean() < -1.0


def test_variational_dequantisation_is_a_density_inside_the_bin() -> None:
    """The noise has density q: its histogram is exp(log q), and E[1 / q] = 1 over the bin."""
    torch.manual_seed(0)
    dequantisation = VariationalDequantisation(DataSpec((1, 1, 1), 4))
    x = torch.full((40_000, 1, 1, 1), 2, dtype=torch.uint8)
    assert dequantisation(x)[1].abs().max() < 1e-4  # starts uniform
    with torch.no_grad():
        dequantisation.network.last.bias.copy_(torch.tensor([0.5, -0.4]))
        u, log_q = dequantisation(x)
    noise = 4.0 * u.flatten() - 2.0
    assert 0.0 <= noise.min() and noise.max() <= 1.0
    frequency = ((noise > 0.45) & (noise < 0.55)).float().mean()
    density = log_q[(noise > 0.45) & (noise < 0.55)].exp().mean()
    torch.testing.assert_close(frequency, 0.1 * density, rtol=0.05, atol=0.0)
    torch.testing.assert_close((-log_q).exp().mean(), torch.tensor(1.0), rtol=0.03, atol=0.0)


def test_gaussianise_makes_its_first_training_batch_normal_and_keeps_the_masses() -> None:
    torch.manual_seed(0)
    levels = torch.randint(9, (64, 1, 16, 16)) ** 2 // 8  # uneven: 0, 0, 0, 1, 2, 3, 4, 6, 8
    first, second = (levels + torch.rand(64, 1, 16, 16)) / 9, torch.rand(64, 1, 16, 16)
    gaussianise = Gaussianise(9)
    z = gaussianise(first)[0].flatten()
    quantiles = torch.tensor([0.025, 0.16, 0.5, 0.84, 0.975])
    torch.testing.assert_close(z.quantile(quantiles), torch.special.ndtri(quantiles), atol=0.05, rtol=0.0)
    loaded = Gaussianise(9)
    loaded.load_state_dict(gaussianise.state_dict())
    assert torch.equal(loaded.train()(second)[0], gaussianise(second)[0])
    assert torch.isfinite(gaussianise.inverse(torch.tensor([-50.0, 50.0]).view(2, 1, 1, 1))).all()


def test_the_logistic_prior_is_logistic_everywhere_and_its_gradient_finite() -> None:
    x = torch.tensor([[0.0], [-3.0], [7.0], [-30.0], [60.0], [500.0]], requires_grad=True)
    z, log_det = LogisticPrior()(x)
    log_prob = log_det - 0.5 * z.square().sum(1) - 0.5 * torch.log(torch.tensor(2.0 * torch.pi))
    flat = x.detach().double().flatten()
    expected = -flat.abs() - 2.0 * torch.log1p(torch.exp(-flat.abs()))
    torch.testing.assert_close(log_prob.double(), expected, atol=1e-5, rtol=1e-6)
    (slope,) = torch.autograd.grad(log_prob.sum(), x)
    torch.testing.assert_close(slope.double().flatten(), -torch.tanh(flat / 2.0), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(LogisticPrior().inverse(z.detach())[:5], x.detach()[:5], atol=1e-4, rtol=1e-5)


def test_num_halvings() -> None:
    shapes = {(1, 28, 28): 2, (3, 32, 32): 5, (1, 8, 8): 3, (1, 7, 7): 0, (1, 12, 8): 2, (3, 6, 8): 1}
    assert {shape: num_halvings(shape) for shape in shapes} == shapes
