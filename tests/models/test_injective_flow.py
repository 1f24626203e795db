import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from genarena.likelihood import Likelihood
from genarena.models.invertible_ae.injective_flow import InjectiveFlow
from genarena.spec import Batch, DataSpec


def linear_model(dims: int, latent_dim: int, **options) -> InjectiveFlow:
    return InjectiveFlow(DataSpec((dims,)), latent_dim=latent_dim, num_blocks=0, **options)


def pseudo_inverse_pair(**options) -> tuple[InjectiveFlow, nn.Parameter]:
    """f(u) = W u in R^3 and g(z) = W^+ z in R^5, and W."""
    torch.manual_seed(0)
    model = linear_model(5, 3, **options)
    weight = dict(model.encoder.named_parameters())["0.1.weight"]
    with torch.no_grad():
        weight.copy_(torch.randn(3, 5))
        dict(model.decoder.named_parameters())["1.0.weight"].copy_(torch.linalg.pinv(weight))
    return model, weight


class Sinh(nn.Module):
    """z = asinh(A u), a bijection of the plane with a Jacobian that varies; or its inverse u = A^-1 sinh(z)."""

    def __init__(self, matrix: Tensor, inverse: bool) -> None:
        super().__init__()
        self.matrix, self.inverse = nn.Parameter(matrix), inverse

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.solve(self.matrix, torch.sinh(x).T).T if self.inverse else torch.asinh(x @ self.matrix.T)


def curved_plane(num_probes: int = 2) -> InjectiveFlow:
    model, matrix = linear_model(2, 2, num_probes=num_probes), torch.tensor([[1.0, 0.4], [-0.3, 1.5]])
    model.encoder, model.decoder = Sinh(matrix.clone(), False), Sinh(matrix.clone(), True)
    return model


def volume(model: InjectiveFlow, u: Tensor) -> Tensor:
    u = u.clone().requires_grad_()
    return model._volume_and_reconstruction(u, model.encoder(u))[0]


def test_surrogate_gradient_is_that_of_the_log_volume_when_probes_span_the_latent_space():
    model, weight = pseudo_inverse_pair(num_probes=3)
    (surrogate,) = torch.autograd.grad(volume(model, torch.randn(4, 5)).mean(), weight)
    (exact,) = torch.autograd.grad(0.5 * torch.logdet(weight @ weight.T), weight)
    torch.testing.assert_close(surrogate, exact)


def test_one_probe_is_unbiased():
    model, weight = pseudo_inverse_pair(num_probes=1)
    (surrogate,) = torch.autograd.grad(volume(model, torch.randn(100_000, 5)).mean(), weight)
    (exact,) = torch.autograd.grad(0.5 * torch.logdet(weight @ weight.T), weight)
    torch.testing.assert_close(surrogate, exact, atol=0.06, rtol=0)


def test_surrogate_gradient_of_a_nonlinear_bijection_and_none_for_the_decoder():
    model, u = curved_plane(), torch.randn(50, 2)
    surrogate = torch.autograd.grad(
        volume(model, u).mean(), [model.encoder.matrix, model.decoder.matrix], allow_unused=True
    )
    jacobians = torch.func.vmap(torch.func.jacrev(lambda point: model.encoder(point[None])[0]))(u)
    (exact,) = torch.autograd.grad(torch.linalg.slogdet(jacobians).logabsdet.mean(), model.encoder.matrix)
    torch.testing.assert_close(surrogate[0], exact)
    assert surrogate[1] is None


def test_manifold_density_of_a_linear_gaussian():
    """g(z) = Q R z + b with orthonormal Q: in the coordinates Q^T (x - b) of the plane the density is N(0, R R^T)."""
    model, _ = pseudo_inverse_pair()
    leave = model.decoder[1][0]
    with torch.no_grad():
        model.encoder[0][1].bias.copy_(-model.encoder[0][1].weight @ leave.bias)
    x = model.decode(torch.randn(20, 3))
    q, r = torch.linalg.qr(leave.weight.detach())
    expected = MultivariateNormal(torch.zeros(3), r @ r.T).log_prob((x - leave.bias) @ q)
    torch.testing.assert_close(model.manifold_log_prob(x), expected.detach(), atol=1e-4, rtol=1e-4)


def test_manifold_density_integrates_to_one_along_a_curve():
    model, z = linear_model(2, 1), torch.linspace(-6, 6, 4001)[:, None]
    model.encoder, model.decoder = TakeFirst(), Parabola()
    curve = model.decode(z)
    lengths = (curve[1:] - curve[:-1]).norm(dim=1)
    assert (model.manifold_log_prob(curve).exp()[1:] * lengths).sum() == pytest.approx(1, abs=1e-3)
    with pytest.raises(TypeError, match="no likelihood"):
        model.log_prob(curve)


class Parabola(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z, z.square()], 1)


class TakeFirst(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1]


def test_a_free_form_flow_has_a_density_that_integrates_to_one():
    model, axis = curved_plane(), torch.linspace(-60, 60, 1201)
    grid = torch.cartesian_prod(axis, axis)
    assert model.likelihood is Likelihood.ESTIMATE
    assert model.log_prob(grid).double().exp().sum() * 0.1**2 == pytest.approx(1, abs=5e-3)
    torch.testing.assert_close(
        model.log_prob(grid[::1000]), model.manifold_log_prob(grid[::1000]), atol=1e-3, rtol=1e-3
    )


def test_full_is_as_wide_as_the_data():
    model = InjectiveFlow(DataSpec((3,)), latent_dim="full", hidden_features=8, num_blocks=1)
    assert (model.latent_dim, model.likelihood) == (3, Likelihood.ESTIMATE)
    x = torch.randn(2, 3)
    rows = torch.stack([torch.autograd.functional.jacobian(lambda at: model.encoder(at[None])[0], row) for row in x])
    expected = model.log_prior(model.encode(x)) + torch.linalg.slogdet(rows).logabsdet
    torch.testing.assert_close(model.log_prob(x), expected, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="^latent_dim=4: expected 1 to 3 for data of 3 dimensions$"):
        InjectiveFlow(DataSpec((3,)), latent_dim=4)


def test_full_jacobians_of_the_networks_agree_with_reverse_mode():
    model = InjectiveFlow(DataSpec((2, 9, 11), 256), latent_dim=3, hidden_channels=4, hidden_features=16)
    x = torch.randint(256, (2, 2, 9, 11), dtype=torch.uint8)
    z = model.encode(x)
    rows = [torch.func.jacrev(lambda point: model.decoder(point[None]).flatten())(point) for point in z]
    gram = torch.stack([row.double().T @ row.double() for row in rows])
    expected = -0.5 * z.square().sum(1) - 1.5 * math.log(2 * math.pi) - 0.5 * torch.logdet(gram).float()
    torch.testing.assert_close(model.manifold_log_prob(x), expected, atol=1e-3, rtol=1e-4)


def test_validation_under_inference_mode_sees_the_same_numbers():
    model = InjectiveFlow(DataSpec((1, 8, 8), 17), latent_dim=4, hidden_channels=4, hidden_features=16)
    with torch.inference_mode():
        x = torch.randint(17, (6, 1, 8, 8), dtype=torch.uint8)
        torch.manual_seed(1)
        inside = model.validate(Batch(x)), model.manifold_log_prob(x)
    torch.manual_seed(1)
    torch.testing.assert_close(inside, (model.validate(Batch(x)), model.manifold_log_prob(x)))


def test_linear_training_finds_the_principal_components_with_unit_latent_variance():
    """Stationary point for Gaussian data: f whitens the leading eigenvectors, g g^T is their part of the covariance."""
    torch.manual_seed(0)
    rotation = torch.linalg.qr(torch.randn(6, 6)).Q
    variances = torch.tensor([4.0, 2.0, 0.3, 0.2, 0.1, 0.05])
    data = (torch.randn(20_000, 6) * variances.sqrt()) @ rotation.T
    model = linear_model(6, 2, num_probes=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        optimizer.zero_grad()
        model.loss(Batch(data[torch.randint(len(data), (512,))]))["loss"].backward()
        optimizer.step(), schedule.step()
    weight = model.decoder[1][0].weight.detach()
    principal = rotation[:, :2] @ variances[:2].diag() @ rotation[:, :2].T
    torch.testing.assert_close(weight @ weight.T, principal, atol=0.08, rtol=0)
    torch.testing.assert_close(model.encode(data).T.cov(), torch.eye(2), atol=0.05, rtol=0)


def test_noise_is_added_while_learning_and_not_when_encoding():
    torch.manual_seed(0)
    x, noise = torch.full((64, 1, 8, 8), 100, dtype=torch.uint8), 0.2
    model = InjectiveFlow(DataSpec((1, 8, 8), 256), latent_dim=4, noise=noise).eval()
    u = model._noisy(x)
    assert u.mean().item() == pytest.approx(100.5 / 256, abs=4 * noise / math.sqrt(u.numel()))
    assert u.var().item() == pytest.approx(noise**2 + 1 / (12 * 256**2), rel=4 * math.sqrt(2 / u.numel()))
    assert torch.equal(model.encode(x), model.encode(x))
    with pytest.raises(ValueError, match="noise=-1"):
        InjectiveFlow(DataSpec((1, 8, 8), 256), noise=-1.0)
