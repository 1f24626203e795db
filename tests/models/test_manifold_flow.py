"""Flows on manifolds: the density integrates to one over a curve and a sphere, and its volume is that of the Jacobian."""

import math

import pytest
import torch
from torch import Tensor

from genarena.models.flow.bijection import Bijection
from genarena.models.invertible_ae.manifold_flow import ManifoldFlow
from genarena.spec import Batch, DataSpec


def shaken(model: ManifoldFlow, x: Tensor, scale: float = 0.2) -> ManifoldFlow:
    """After the data-dependent initialisation on `x`, and away from it."""
    model.loss(Batch(x))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def on_vectors(num_dims: int, latent_dim: int, scale: float = 0.2) -> ManifoldFlow:
    torch.manual_seed(0)
    sizes = {"num_layers": 2, "hidden_features": 8, "latent_layers": 2, "latent_features": 8}
    return shaken(
        ManifoldFlow(DataSpec((num_dims,)), latent_dim=latent_dim, **sizes), torch.randn(128, num_dims), scale
    )


class Sphere(Bijection):
    """(w, v), v in R^2, to (1 + w) times the point of the unit sphere whose stereographic projection is v."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        length = x.norm(dim=1, keepdim=True)
        unit = x / length
        return torch.cat([length - 1.0, unit[:, :2] / (1.0 - unit[:, 2:])], 1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        square = z[:, 1:].square().sum(1, keepdim=True)
        return (1.0 + z[:, :1]) * torch.cat([2.0 * z[:, 1:], square - 1.0], 1) / (1.0 + square)


def test_a_density_on_the_sphere_integrates_to_one() -> None:
    """Over 5,000 points that share the area evenly; what is sampled lies on the sphere and reconstructs itself."""
    model = on_vectors(3, 2).double()
    model.chart, num = Sphere(), 5_000
    index = torch.arange(num, dtype=torch.float64) + 0.5
    height, angle = 1.0 - 2.0 * index / num, math.pi * (1.0 + 5.0**0.5) * index  # Fibonacci's spiral
    radius = (1.0 - height.square()).sqrt()
    points = torch.stack([radius * angle.cos(), radius * angle.sin(), height], 1)
    density = model.manifold_log_prob(points).exp()
    assert density.mean() * 4.0 * math.pi == pytest.approx(1.0, abs=2e-3)
    assert density.std() > 0.1 * density.mean()
    off = 1.3 * points[:50]
    torch.testing.assert_close(model.reconstruct(off), points[:50], atol=1e-6, rtol=0.0)  # the nearest point


def test_a_density_along_a_learned_curve_integrates_to_one() -> None:
    model = on_vectors(2, 1, 0.6).double()
    z = torch.linspace(-7.0, 7.0, 8001, dtype=torch.float64)[:, None]
    curve = model.decode(z)
    lengths = (curve[1:] - curve[:-1]).norm(dim=1)
    assert (model.manifold_log_prob(curve).exp()[1:] * lengths).sum() == pytest.approx(1.0, abs=1e-3)
    bend = torch.nn.functional.cosine_similarity(curve[1:] - curve[:-1], curve[-1:] - curve[:1])
    assert bend.min() < 0.95  # no line


def test_the_volume_is_that_of_the_jacobian_and_parts_add_up() -> None:
    model = on_vectors(5, 3).double()
    x = model.decode(torch.randn(4, 3, dtype=torch.float64))
    v = model.project(x).detach()
    rows = torch.stack([torch.autograd.functional.jacobian(lambda at: model.immerse(at[None])[0], row) for row in v])
    z, log_det = model.coordinates(v)
    expected = model.log_prior(z) + log_det - 0.5 * torch.logdet(rows.mT @ rows)
    torch.testing.assert_close(model.manifold_log_prob(x), expected.detach(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(model.reconstruct(x), x, atol=1e-6, rtol=0.0)


def test_the_likelihood_does_not_bend_the_manifold() -> None:
    model = on_vectors(4, 2).train()
    terms = model.loss(Batch(torch.randn(16, 4)))
    chart, coordinates = list(model.chart.parameters()), list(model.coordinates.parameters())
    assert all(
        g is None for g in torch.autograd.grad(terms["coordinates"], chart, retain_graph=True, allow_unused=True)
    )
    assert all(g is None for g in torch.autograd.grad(terms["reconstruction"], coordinates, allow_unused=True))


def test_images_of_the_manifold_reconstruct_themselves() -> None:
    torch.manual_seed(0)
    x = torch.randint(4, (16, 1, 4, 4), dtype=torch.uint8)
    model = shaken(ManifoldFlow(DataSpec((1, 4, 4), 4), latent_dim=5, num_steps=1, hidden_channels=4), x, 0.05)
    u = model.decoder(torch.randn(3, 5))
    torch.testing.assert_close(model.decoder(model.encoder(u)), u, atol=1e-4, rtol=0.0)
    assert torch.isfinite(model.manifold_log_prob(x)).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        ManifoldFlow(DataSpec((1,)))
    with pytest.raises(ValueError, match="7x7: expected even sizes"):
        ManifoldFlow(DataSpec((1, 7, 7), 4))
    assert ManifoldFlow(DataSpec((2,))).latent_dim == 1
    with pytest.raises(ValueError, match="^latent_dim=64: expected 1 to 63 for data of 64 dimensions$"):
        ManifoldFlow(DataSpec((1, 8, 8), 4), latent_dim=64)
    with pytest.raises(ValueError, match="^num_levels=4: expected 1 to 3 for images of 8x8$"):
        ManifoldFlow(DataSpec((1, 8, 8), 4), num_levels=4)
