"""Free-form injective flow: an autoencoder trained by maximum likelihood on the manifold that it learns.

Sorrenson, Draxler, Rousselot, Hummerich, Zimmermann & Koethe 2024, "Lifting Architectural Constraints of Injective Flows",
arXiv 2306.01843.

As in the paper: the encoder Jacobian is taken at the data point, because at the reconstruction a manifold of diverging
curvature could raise the likelihood without limit; residual blocks on the latents, after the encoder's and before the
decoder's convolutions; orthogonal probes.
Differs from the paper: integer data is dequantised uniformly before the Gaussian noise is added; the networks are smooth
(SiLU), adapt to the image size and are initialised so that their Jacobians are of order one.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from genarena.errors import counted
from genarena.likelihood import Likelihood
from genarena.models.invertible_ae.manifold_model import ManifoldModel
from genarena.nets.residual_mlp import ResidualMLP
from genarena.nets.resnet import ConvDecoder, ConvEncoder, ConvPyramid
from genarena.nets.sizes import fitting
from genarena.options.values import Count, NonNegative, Whole
from genarena.spec import Batch, DataSpec
from genarena.statistics import traces
from genarena.training.module import Training


class InjectiveFlow(ManifoldModel):
    """L = E[ 1/2 ||f(u)||^2 - v^T f'(u) stop_grad(g'(z) v) + beta ||u - g(z)||^2 ],  z = f(u),  E[v v^T] = I.

    The second term has the gradient of log vol f'(u) = 1/2 log det(f' f'^T) where g' is the pseudo-inverse of f'.
    The data has no likelihood: the model's density is on a manifold of dimension `latent_dim` (see `manifold_log_prob`).
    `log_prob` is defined only for float vectors with latent_dim = D, as an estimate: it is exact if f is invertible.
    latent_dim: None: 16, or D if that is less; full: D, a free-form flow (Draxler et al. 2024, arXiv 2310.16624).
    noise: standard deviation of the Gaussian noise on pixels in [0, 1) in training. Without it the encoder can increase f'
        at the data alone, by ripples that do not change the reconstructions. The volume term (d if f(g(z)) = z) then grows
        without limit, and the manifold is lost.
    """

    paper = "2306.01843"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dim: Count | Literal["full"] | None = None,
        beta: NonNegative = 10.0,
        hidden_channels: Count = 16,
        conv_blocks: Sequence[Whole] = (0,),
        hidden_features: Count = 256,
        num_blocks: Count = 4,
        num_probes: Count = 1,
        noise: NonNegative = 0.0,
    ) -> None:
        super().__init__(spec, training)
        asked, dims = (spec.num_dims if latent_dim == "full" else latent_dim), range(1, spec.num_dims + 1)
        self.latent_dim = fitting("latent_dim", asked, 16, dims, f"data of {counted(spec.num_dims, 'dimension')}")
        self.beta, self.chosen = beta, {"latent_dim": self.latent_dim}
        if not 1 <= num_probes <= self.latent_dim:
            raise ValueError(f"num_probes={num_probes}: expected 1 to latent_dim={self.latent_dim}")
        if noise < 0.0:
            raise ValueError(f"noise={noise}: must be at least 0")
        self.num_probes, self.noise = num_probes, noise
        if spec.is_image:
            enter, leave = _image_ends(spec.shape, self.latent_dim, hidden_channels, conv_blocks, hidden_features)
        else:
            enter, leave = _vector_ends(spec.num_dims, self.latent_dim, hidden_features, num_blocks)
        self.encoder = nn.Sequential(enter, ResidualMLP(self.latent_dim, hidden_features, num_blocks))
        self.decoder = nn.Sequential(ResidualMLP(self.latent_dim, hidden_features, num_blocks), leave)

    @property
    def likelihood(self) -> Likelihood:
        fills = self.latent_dim == self.spec.num_dims and not self.spec.is_discrete
        return Likelihood.ESTIMATE if fills else Likelihood.NONE

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`latent`: 1/2 ||z||^2, nats. `volume`: a surrogate with the gradient of log vol f', but not its value.
        `reconstruction`: ||u - g(z)||^2, summed over dimensions."""
        with torch.inference_mode(False), torch.enable_grad():  # validation, too, needs the encoder's Jacobian
            u = self._noisy(batch.x).requires_grad_()
            z = self.encoder(u)
            volume, reconstructed = self._volume_and_reconstruction(u, z)
            latent = 0.5 * z.square().sum(1).mean()
            reconstruction = (u.detach() - reconstructed).square().flatten(1).sum(1).mean()
            loss = latent - volume.mean() + self.beta * reconstruction
        return {"loss": loss, "latent": latent, "volume": volume.mean(), "reconstruction": reconstruction}

    def _volume_and_reconstruction(self, u: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """sum_k v_k^T f'(u) stop_grad(g'(z) v_k), (N,), and g(z) (N, *shape), both from the same forward passes. Orthogonal
        probes v_k, as many as `num_probes`."""
        surrogate = 0.0
        for probe in traces.orthogonal(z.detach(), self.num_probes):
            reconstructed, pushed = traces.push(self.decoder, z, probe)  # g(z), g'(z) v
            (pulled,) = torch.autograd.grad(z, u, probe, create_graph=True)  # v^T f'(u)
            surrogate = surrogate + traces.dot(pulled, pushed.detach())
        return surrogate, reconstructed

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats: log N(f(x); 0, I) + log |det f'(x)|; for latent_dim = D on float data only, else TypeError."""
        if self.likelihood is Likelihood.NONE:
            return super().log_prob(x, y, num_samples)
        with torch.inference_mode(False), torch.enable_grad():
            at = x.clone().requires_grad_()
            z = self.encoder(at)
            rows = traces.pull(z, at, traces.axes(at))
        return self.log_prior(z.detach()) + traces.log_volume(rows.movedim(0, 1)).float()

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {"method": "change of variables through the encoder, exact Jacobian"}


def _image_ends(
    shape: tuple[int, ...], latent_dim: int, channels: int, blocks: Sequence[int], features: int
) -> tuple[nn.Module, nn.Module]:
    """Images to (N, latent_dim) and back."""
    plan = ConvPyramid(*shape[1:], channels, blocks)
    ends = ConvEncoder(shape[0], latent_dim, plan, features), ConvDecoder(latent_dim, shape[0], plan, features)
    for end in ends:
        end.apply(_keep_variance)
    with torch.no_grad():
        next(layer for layer in reversed(list(ends[1].modules())) if isinstance(layer, nn.Conv2d)).weight.mul_(0.1)
    return ends


def _vector_ends(num_dims: int, latent_dim: int, features: int, num_blocks: int) -> tuple[nn.Module, nn.Module]:
    """Vectors to (N, latent_dim) and back; `num_blocks=0` leaves two linear maps."""
    enter, leave = nn.Linear(num_dims, latent_dim), nn.Linear(latent_dim, num_dims)
    if num_dims == latent_dim:  # a free-form flow: the residual blocks on the latents suffice
        return enter, leave
    return (
        nn.Sequential(ResidualMLP(num_dims, features, num_blocks), enter),
        nn.Sequential(leave, ResidualMLP(num_dims, features, num_blocks)),
    )


def _keep_variance(layer: nn.Module) -> None:
    """Normal weights of variance 2.8 / fan-in, because E[silu(N(0, 1))^2] = 1 / 2.8. With torch's default the Jacobians
    start near zero, at a saddle point that training leaves only slowly."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.normal_(layer.weight, std=math.sqrt(2.8 / layer.weight[0].numel()))
        nn.init.zeros_(layer.bias)
