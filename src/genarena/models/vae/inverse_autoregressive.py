"""Inverse autoregressive flow: a posterior whose dimensions depend on each other, of which draws are fast (Kingma, Salimans,
Jozefowicz, Chen, Sutskever & Welling 2016, arXiv 1606.04934, sec. 3 and algorithm 1).

    z^0 = mean + exp(log_var / 2) eps,    z^t = s z^(t-1) + (1 - s) m,    (m, sigmoid^-1 s) = network(z^(t-1), h) of a mask,
    log q(z^T|x) = log N(z^0; mean, exp(log_var)) - sum_t sum_d log s_d^t,

where dimension d of m and s sees z_1 .. z_(d-1) and the context h of x. The order of the dimensions is reversed between steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.vae.diagonal_normal import Gaussian
from genarena.nets.masked_mlp import MaskedMLP

OPEN = 2.0  # sigmoid^-1 s at the start: z^t stays near z^(t-1)


class InverseAutoregressiveFlow(nn.Module):
    """z^0 to z^T (N, D), `num_steps` networks of masked layers `hidden`, context h (N, context_features)."""

    def __init__(self, num_dims: int, num_steps: int, hidden: Sequence[int], context_features: int) -> None:
        super().__init__()
        self.networks = nn.ModuleList(MaskedMLP(num_dims, hidden, 2, context_features) for _ in range(num_steps))

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z^T and log |det dz^T / dz^0| (N,)."""
        log_det = z.new_zeros(len(z))
        for network in self.networks:
            m, gate = network(z, h).to(z.dtype).unbind(1)
            log_s = F.logsigmoid(gate + OPEN)
            z = torch.lerp(m, z, log_s.exp()).flip(1)
            log_det = log_det + log_s.sum(1)
        return z, log_det

    def inverse(self, z: Tensor, h: Tensor) -> Tensor:
        """z^0 of z^T (N, D): dimension after dimension, each unit of a network once."""
        for network in reversed(self.networks):
            after = z.flip(1)

            def before(outputs: Tensor, d: int, after: Tensor = after) -> Tensor:
                m, gate = outputs.unbind(1)
                s = torch.sigmoid(gate + OPEN)
                return (after[None, :, d] - (1.0 - s) * m) / s

            z = network.unroll(before, len(z), h)
        return z


@dataclass
class FlowPosterior:
    """q(z|x) of N examples: `start`, the normal of z^0 (N, D), and the context h (N, F) of the flow."""

    start: Gaussian
    h: Tensor
    flow: InverseAutoregressiveFlow

    def draw(self) -> tuple[Tensor, Tensor]:
        """z ~ q (N, D), differentiable, and log q(z|x) (N,) nats."""
        noise = self.start.noise()
        z, log_det = self.flow(self.start.at(noise), self.h)
        return z, self.start.log_prob_at(noise).sum(1) - log_det

    def draws(self, size: int) -> tuple[Tensor, Tensor]:
        """z (size, N, D) and log q(z|x) (size, N), in one pass of the flow."""
        noise = self.start.noise_of_draws(size)
        z, log_det = self.flow(self.start.at(noise).flatten(0, 1), self.h.repeat(size, 1))
        return z.view(noise.shape), self.start.log_prob_at(noise).sum(2) - log_det.view(size, -1)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q(z|x) (N,) nats of any codes (N, D)."""
        z_0 = self.flow.inverse(z, self.h)
        return self.start.log_prob(z_0).sum(1) - self.flow(z_0, self.h)[1]

    def log_prob_of_each(self, z: Tensor) -> Tensor:
        """log q(z_m|x_n) of codes (M, D) under each of the N examples, (M, N) nats."""
        num = len(self.h)
        start = Gaussian(self.start.mean.repeat(len(z), 1), self.start.log_var.repeat(len(z), 1))
        every = FlowPosterior(start, self.h.repeat(len(z), 1), self.flow)
        return every.log_prob(z.repeat_interleave(num, 0)).view(len(z), num)

    def centre(self) -> Tensor:
        """Where the flow takes the mean of z^0, (N, D)."""
        return self.flow(self.start.mean, self.h)[0]
