"""Flow on a learned manifold (Brehmer & Cranmer 2020, "Flows for simultaneous manifold learning and density estimation", arXiv
2003.13913): a flow of all dimensions is the chart of a manifold, and a second flow is the density of its coordinates.

Differs from the paper
- Both are trained at once, each by its own loss: the coordinates that the second flow sees are detached, so that the likelihood
  cannot bend the manifold (sec. 3.2 explains why it must not). The paper trains one after the other, or in turns.
- The density on the manifold takes the full Jacobian, its columns by forward-mode differentiation (as Caterini et al. 2021,
  arXiv 2106.01413, do in low dimensions).
- The chart of images is Glow's (affine couplings, several squeezes, no factoring out) on dequantised levels in [0, 1), that of
  vectors affine couplings; the coordinates have spline couplings. No regularisation of either.
"""

import torch.nn.functional as F
from torch import Tensor

from genarena.errors import counted
from genarena.likelihood import Likelihood
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm, NormalisedConv
from genarena.models.flow.couplings import ConvNetwork, SplitCoupling
from genarena.models.flow.dequantisation import Centre
from genarena.models.flow.elementwise import Affine, Pointwise, Spline
from genarena.models.flow.multiscale import MultiScale, Squeeze, num_scales, squeezed
from genarena.models.flow.vector_couplings import vector_flow
from genarena.models.invertible_ae.manifold_model import ManifoldModel
from genarena.nets.sizes import fitting
from genarena.options.values import Count, NonNegative, Positive
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class ManifoldFlow(ManifoldModel):
    """(v, w) = f(u), v in R^d: the manifold is {f^-1(v, 0)}, and on it log p(u) = log p_h(v) - 1/2 log det(J^T J) with the
    columns J of d f^-1(v, 0) / dv (eq. 5);  f: min E |u - f^-1(v, 0)|^2,  h: max E log p_h(v) (eq. 13, 14).

    The data has no likelihood: see `manifold_log_prob`. |u - f^-1(v, 0)| is the distance to the projection by the chart.
    latent_dim: d; None: 16, or D - 1 if that is less. noise: as in `InjectiveFlow`.
    num_levels, num_steps, hidden_channels: squeezes, steps of flow per squeeze and width of the chart of images.
    num_layers, hidden_features: couplings and their width, of the chart of vectors. latent_layers, latent_features: of the
    coordinates; num_bins, bound: their splines.
    num_levels None: 2, or 1.
    Raises ValueError for sizes that do not fit, data of one dimension, vectors of levels, and images of odd size.
    """

    paper = "2003.13913"
    likelihood = Likelihood.NONE

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        latent_dim: Count | None = None,
        noise: NonNegative = 0.0,
        num_levels: Count | None = None,
        num_steps: Count = 4,
        hidden_channels: Count = 64,
        num_layers: Count = 6,
        hidden_features: Count = 64,
        latent_layers: Count = 6,
        latent_features: Count = 64,
        num_bins: Count = 8,
        bound: Positive = 3.0,
    ) -> None:
        super().__init__(spec, training)
        if spec.num_dims < 2:
            raise ValueError(f"manifold_flow needs at least 2 dimensions, and this data set has {spec.num_dims}")
        dims = range(1, spec.num_dims)
        self.latent_dim = fitting("latent_dim", latent_dim, 16, dims, f"data of {counted(spec.num_dims, 'dimension')}")
        self.noise, self.chosen = noise, {"latent_dim": self.latent_dim}
        if spec.is_image or spec.is_discrete:
            spec.require_image("manifold_flow, beside vectors of floats,")
            self.chosen["num_levels"] = num_scales(spec.shape, num_levels)
            self.chart = image_chart(spec.shape, self.chosen["num_levels"], num_steps, hidden_channels)
        else:
            self.chart = vector_flow(spec.num_dims, num_layers, hidden_features, Affine())
        self.coordinates = coordinate_flow(self.latent_dim, latent_layers, latent_features, Spline(num_bins, bound))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`reconstruction`: |u - f^-1(v, 0)|^2, summed over dimensions; `coordinates`: -log p_h(v), nats."""
        u = self._noisy(batch.x)
        v = self.project(u)
        reconstruction = (u - self.immerse(v)).square().flatten(1).sum(1).mean()
        z, log_det = self.coordinates(v.detach())
        coordinates = -(self.log_prior(z) + log_det).mean()
        return {"loss": reconstruction + coordinates, "reconstruction": reconstruction, "coordinates": coordinates}

    def project(self, u: Tensor) -> Tensor:
        """The coordinates v (N, d) of the chart."""
        return self.chart(u)[0][:, -self.latent_dim :]

    def immerse(self, v: Tensor) -> Tensor:
        """f^-1(v, 0) (N, *shape)."""
        return self.chart.inverse(F.pad(v, (self.spec.num_dims - self.latent_dim, 0)))

    def encoder(self, u: Tensor) -> Tensor:
        return self.coordinates(self.project(u))[0]

    def decoder(self, z: Tensor) -> Tensor:
        return self.immerse(self.coordinates.inverse(z))


def image_chart(shape: tuple[int, int, int], num_levels: int, num_steps: int, hidden_channels: int) -> Bijection:
    """(N, C, H, W) to (N, D)."""
    layers: list[Bijection] = [Centre()]
    for _ in range(num_levels):
        shape = squeezed(shape)
        layers.append(Squeeze())
        for _ in range(num_steps):
            network = ConvNetwork(shape[0] // 2, hidden_channels, shape[0], size=shape[1:])
            layers += [NormalisedConv(shape[0]), SplitCoupling(network)]
    return MultiScale([Chain(*layers)], [shape])


def coordinate_flow(num_dims: int, num_layers: int, hidden_features: int, spline: Spline) -> Chain:
    """(N, d) to (N, d): a spline of each coordinate, and couplings where there are two of them."""
    more = [vector_flow(num_dims, num_layers, hidden_features, spline)] if num_dims > 1 else [ActNorm(1)]
    return Chain(ActNorm(num_dims), Pointwise(num_dims, spline), *more)
