"""Penalties on the gradient of a discriminator D in its input: scalars that are differentiable in its weights.

D maps (N, ...) to scores (N,), each from its own row: no batch normalisation, whose rows share statistics. The inputs are
constants here, so that no gradient reaches a generator. Everything is float32; autocast is off.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[[Tensor], Tensor]


def two_sided(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """E[(|grad D(u)| - 1)^2], u = e x + (1 - e) G(z), e ~ U[0, 1] per pair (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    real, fake: (N, ...) each. Not multiplied by lambda.
    """
    share = torch.rand(len(real), *[1] * (real.dim() - 1), device=real.device)
    return (input_gradients(critic, torch.lerp(fake, real, share)).norm(dim=1) - 1.0).square().mean()


def r1(discriminator: Critic, real: Tensor) -> Tensor:
    """E[|grad D(x)|^2] / 2 on data x (N, ...) (Mescheder et al. 2018, arXiv 1801.04406, eq. 9). Not multiplied by gamma."""
    return zero_centred(input_gradients(discriminator, real))


def r2(discriminator: Critic, fake: Tensor) -> Tensor:
    """E[|grad D(G(z))|^2] / 2 on generated data (N, ...) (Mescheder et al. 2018, eq. 10). Not multiplied by gamma."""
    return zero_centred(input_gradients(discriminator, fake))


def zero_centred(gradients: Tensor) -> Tensor:
    """E[|grad D|^2] / 2 of gradients (N, D): R1 of those at data, R2 of those at generated data."""
    return 0.5 * gradients.square().sum(1).mean()


def input_gradients(critic: Critic, x: Tensor) -> Tensor:
    """Gradient of the score of each row of x (N, ...) in that row: (N, D), with a graph to the weights."""
    return scored(critic, x)[1]


def scored(critic: Critic, x: Tensor) -> tuple[Tensor, Tensor]:
    """The scores (N,) of x (N, ...) and their `input_gradients`, of one pass, each with a graph to the weights."""
    with torch.enable_grad(), torch.autocast(x.device.type, enabled=False):
        x = x.detach().float().requires_grad_()
        scores = critic(x)
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return scores, gradient.flatten(1)


def path_lengths(generator: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """|J_w^T u|, u ~ N(0, I / (H W)), (N,), with a graph to the weights and to w (Karras et al. 2020, arXiv 1912.04958, eq. 4).

    generator: styles w (N, D), or one per layer (N, L, D), to images (N, C, H, W), each from its own row. With layers the
    square of the length is a mean over them, as in the authors' code.
    """
    with torch.enable_grad():
        w = w if w.requires_grad else w.detach().requires_grad_()
        images = generator(w)
        noise = torch.randn_like(images) / (images.shape[2] * images.shape[3]) ** 0.5
        (gradient,) = torch.autograd.grad((images * noise).sum(), w, create_graph=True)
    return gradient.square().sum(-1).view(len(w), -1).mean(1).sqrt()
