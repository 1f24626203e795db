"""Invertible autoencoders against the losses of their papers in plain PyTorch; our networks are on both sides."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad

from genarena.models.invertible_ae.injective_flow import InjectiveFlow
from genarena.models.invertible_ae.manifold_flow import ManifoldFlow
from genarena.models.invertible_ae.manifold_model import ManifoldModel
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.spec import Batch, DataSpec

IMAGES, VECTORS, CODE, NOISE = DataSpec((1, 28, 28), 256), DataSpec((43,)), 16, 0.1
ROWS, PICTURES, BETA, WIDTH = 512, 128, 10.0, 256


def injective_flow(num_rounds: int = 15) -> str:
    """Convolutions, and 16 latents. Our samples are checked for numbers that are not finite, theirs are not."""
    ours = InjectiveFlow(IMAGES, latent_dim=CODE, beta=BETA, noise=NOISE)
    x = torch.randint(256, (PICTURES, *IMAGES.shape), dtype=torch.uint8)
    pairs = [_step(ours, x, lambda: _likelihood_on_manifold(ours, _noisy(x))), _samples(ours, PICTURES)]
    return compared("injective_flow", "plain PyTorch", pairs, num_rounds)


def free_form_flow(num_rounds: int = 15) -> str:
    """Perceptrons, and as many latents as dimensions; log p by the full Jacobian of the encoder."""
    ours, x = InjectiveFlow(VECTORS, latent_dim="full", beta=BETA, hidden_features=WIDTH), torch.randn(ROWS, 43)

    def log_prob() -> Tensor:
        jacobian = torch.func.vmap(torch.func.jacrev(lambda row: ours.encoder(row[None])[0]))(x)
        return _log_normal(ours.encoder(x)) + torch.linalg.slogdet(jacobian).logabsdet

    pairs = [
        _step(ours, x, lambda: _likelihood_on_manifold(ours, x.clone())),
        Pair(f"log p of {ROWS} rows", still(ours, lambda: ours.log_prob(x)), still(ours, log_prob)),
    ]
    return compared("free_form_flow", "plain PyTorch", pairs, num_rounds)


def manifold_flow(num_rounds: int = 9) -> str:
    """A chart of couplings with convolutions, and splines of 16 coordinates."""
    ours = ManifoldFlow(IMAGES, latent_dim=CODE, noise=NOISE)
    x = torch.randint(256, (PICTURES, *IMAGES.shape), dtype=torch.uint8)

    def plain_loss() -> Tensor:
        u = _noisy(x)
        v = ours.chart(u)[0][:, -CODE:]
        projected = ours.chart.inverse(F.pad(v, (IMAGES.num_dims - CODE, 0)))
        z, log_det = ours.coordinates(v.detach())
        return (u - projected).square().flatten(1).sum(1).mean() - (_log_normal(z) + log_det).mean()

    return compared(
        "manifold_flow", "plain PyTorch", [_step(ours, x, plain_loss), _samples(ours, PICTURES)], num_rounds
    )


def _noisy(x: Tensor) -> Tensor:
    return (x + torch.rand(x.shape)) / 256.0 + NOISE * torch.randn(x.shape)


def _log_normal(z: Tensor) -> Tensor:
    return -0.5 * z.square().sum(1) - 0.5 * z.shape[1] * math.log(2.0 * math.pi)


def _likelihood_on_manifold(model: InjectiveFlow, u: Tensor) -> Tensor:
    """1/2 |z|^2 - v^T f'(u) g'(z) v + beta |u - g(z)|^2 with one probe v."""
    u.requires_grad_()
    z = model.encoder(u)
    probe = math.sqrt(z.shape[1]) * F.normalize(torch.randn_like(z))
    with forward_ad.dual_level():
        decoded, pushed = forward_ad.unpack_dual(model.decoder(forward_ad.make_dual(z, probe)))
    (pulled,) = torch.autograd.grad(z, u, probe, create_graph=True)
    volume = (pulled * pushed.detach()).flatten(1).sum(1)
    reconstruction = (u.detach() - decoded).square().flatten(1).sum(1)
    return (0.5 * z.square().sum(1) - volume + model.beta * reconstruction).mean()


def _step(ours: ManifoldModel, x: Tensor, plain_loss: Callable[[], Tensor]) -> Pair:
    own = step(ours, lambda: ours.loss(Batch(x))["loss"])
    return Pair(f"a training step on {len(x)} examples", own, step(ours, plain_loss))


def _samples(ours: ManifoldModel, num: int) -> Pair:
    def drawn() -> Tensor:
        return (ours.decoder(torch.randn(num, ours.latent_dim)) * 256.0).floor().clamp(0, 255).byte()

    return Pair(f"{num} samples", still(ours, lambda: ours.sample(num)), still(ours, drawn))
