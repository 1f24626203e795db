"""What the members of this family share: codes, samples, and the density on the manifold by the decoder's Jacobian."""

from collections.abc import Callable

import torch
from torch import Tensor

from genarena.likelihood import cell_to_unit, dequantise, quantise
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Emits, Encodes
from genarena.spec import Batch
from genarena.statistics import traces


class ManifoldModel(GenerativeModel, Encodes, Decodes, Emits):
    """encoder: u (N, *shape) to z (N, d); decoder: z to u. noise: standard deviation of what training adds to integer data."""

    family = "invertible_ae"
    latent_dim: int
    encoder: Callable[[Tensor], Tensor]
    decoder: Callable[[Tensor], Tensor]
    noise: float = 0.0

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss: there is no bits/dim on a manifold."""
        return {name: value.detach() for name, value in self.loss(batch).items()}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return self.decode(torch.randn(num_samples, self.latent_dim, device=self.device))

    @torch.no_grad()
    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return self.encoder(self._centre(x))

    @torch.no_grad()
    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        u = self.decoder(z)
        return quantise(u, self.spec.num_levels) if self.spec.is_discrete else u

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """g(z) (N, *shape), not rounded; for integer levels from u = (level + 1/2) / L to [-1, 1]."""
        u = self.decoder(z)
        return cell_to_unit(u, self.spec.num_levels) if self.spec.is_discrete else u

    def reconstruct(self, x: Tensor) -> Tensor:
        """g(f(x)), the projection of x to the manifold, in the space of the data; (N, *shape)."""
        return self.decode(self.encode(x))

    def manifold_log_prob(self, x: Tensor) -> Tensor:
        """(N,) nats per unit of d-dimensional volume of the manifold, in units of u, at the projection g(f(x)).

        log N(z; 0, I) - 1/2 log det(J^T J) with the full decoder Jacobian J (D, d) at z = f(x), d forward passes.
        """
        rows = max(1, 2**25 // (self.spec.num_dims * self.latent_dim))  # 128 MiB of Jacobians at a time
        return torch.cat([self._manifold_log_prob(part) for part in self._centre(x).split(rows)])

    def _manifold_log_prob(self, u: Tensor) -> Tensor:
        with torch.no_grad():
            z = self.encoder(u)
            jacobian = traces.columns(self.decoder, z)[1]
        return self.log_prior(z) - traces.log_volume(jacobian).float()

    def _noisy(self, x: Tensor) -> Tensor:
        if not self.spec.is_discrete:
            return x.clone()
        u = dequantise(x, self.spec.num_levels)
        return u + self.noise * torch.randn_like(u)

    def _centre(self, x: Tensor) -> Tensor:
        """u without noise: the middle of the cell of each level."""
        return (x.float() + 0.5) / self.spec.num_levels if self.spec.is_discrete else x
