"""TarFlow (Zhai et al. 2024, "Normalizing Flows are Capable Generative Models", arXiv 2412.06329): a masked autoregressive flow
over patches of an image, whose networks are causal transformers.

Differs from the paper
- Training noise is that of dequantisation, uniform as in the paper's models of likelihood, or learned (Flow++). The Gaussian
  noise of its models of samples, their denoising step and their guidance are left out: they have no bits/dim of the data.
- Patches are moved and scaled once before the first block (activation normalisation), a tanh limits the log-scale, s = 3
  tanh(raw / 3), and with `elementwise: spline` rational-quadratic splines (Durkan et al. 2019) take the place of affine maps.
- Pixels first pass a learned elementwise map to a normal distribution (`Gaussianise`), unless `pixels` is "centred".
- A linear map of the condition is added to every token, and a mean and a scale of all latents depend on it.
`tarflow_paper` turns off the splines and the elementwise map of pixels.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.flow.autoregressive import Reverse
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.elementwise import Affine, Elementwise, Spline
from genarena.models.sampler import Temperature
from genarena.nets.attention import Backend
from genarena.nets.conditioning import num_features
from genarena.nets.sizes import divisors, fitting
from genarena.nets.transformer import Transformer
from genarena.options.values import Count, Positive
from genarena.spec import DataSpec
from genarena.training.module import Training


class TarFlow(NormalisingFlow):
    """log p(x) = log N(z^K; 0, I) - sum over blocks k of sum_t,d a^k_td,
    z^(k+1)_t = (z^k_t - b^k_t) exp(-a^k_t),  a^k_t, b^k_t = f^k(z^k_1, ..., z^k_(t-1)), the first patch unchanged (eq. 4-7).

    The order of the patches is reversed from block to block. Samples are drawn patch after patch, with keys and values of the
    patches so far in a cache.

    patch: side of the squares that are tokens; None: 2, or 1 where 2 does not divide the size. num_flow_blocks: K.
    hidden_channels, num_layers, num_heads, backend: of each block's transformer.
    elementwise: affine, or spline: `num_bins` bins on [-bound, bound], the identity outside.
    pixels, logit_alpha, dequantisation: as in Glow.
    Raises ValueError for data that is no image of integer levels, and for a patch that does not divide
    it into two or more.
    """

    paper = "2412.06329"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        patch: Count | None = None,
        num_flow_blocks: Count = 4,
        hidden_channels: Count = 128,
        num_layers: Count = 2,
        num_heads: Count = 4,
        backend: Backend = "fused",
        elementwise: Literal["affine", "spline"] = "affine",
        num_bins: Count = 4,
        bound: Positive = 3.0,
        pixels: Literal["gaussianised", "logit", "centred"] = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: Literal["uniform", "variational"] = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        spec.require_image("tarflow")
        height, width = spec.shape[1:]
        sides = [side for side in divisors(height, width) if side * side < height * width]  # two tokens at least
        patches = Patches(spec.shape, fitting("patch", patch, 2, sides, f"images of {height}x{width}"))
        function = Spline(num_bins, bound) if elementwise == "spline" else Affine()
        sizes = (hidden_channels, num_layers, num_heads, backend, num_features(spec.condition))
        blocks: list[Bijection] = []
        for _ in range(num_flow_blocks):
            blocks += [CausalBlock(patches.num_tokens, patches.token_dims, function, *sizes), Reverse()]
        pixel = pixel_bijection(pixels, logit_alpha, spec)
        flow = Chain(pixel, FlatActNorm(spec.num_dims), patches, Chain(*blocks), Join(patches.num_tokens))
        super().__init__(spec, training, flow, build_dequantisation(dequantisation, spec), sampler)
        self.num_tokens, self.chosen = patches.num_tokens, {"patch": patches.patch}

    @property
    def nfe(self) -> int:
        return self.num_tokens


class CausalBlock(Bijection):
    """z_t = f(x_t; h_t(x_0, ..., x_(t-1))) on tokens (N, T, F), z_0 = x_0, with a causal transformer h."""

    def __init__(
        self,
        num_tokens: int,
        token_dims: int,
        elementwise: Elementwise,
        features: int,
        num_layers: int,
        num_heads: int,
        backend: Backend,
        context_features: int = 0,
    ) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.stem = nn.Linear(token_dims, features)
        sizes = (num_tokens - 1, features, num_layers, num_heads)
        self.body = Transformer(*sizes, causal=True, backend=backend, context_features=context_features)
        self.head = nn.Linear(features, elementwise.num_parameters * token_dims)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        parameters = self._read(self.head(self.body(self.stem(x[:, :-1]), context)), x)  # (N, T - 1, P, F)
        parameters = F.pad(parameters, (0, 0, 0, 0, 1, 0)).transpose(1, 2)  # zeros: the identity
        z, log_slope = self.elementwise.forward(x, parameters)
        return z, log_slope.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        tokens, caches, texts = [z[:, 0]], self.body.caches(len(z)), self.body.texts(None)
        for t in range(1, z.shape[1]):
            h = self.body.step(self.stem(tokens[-1]), caches, context, texts)
            tokens.append(self.elementwise.inverse(z[:, t], self._read(self.head(h), z)))
        return torch.stack(tokens, 1)

    def _read(self, outputs: Tensor, like: Tensor) -> Tensor:
        """(..., P F) to (..., P, F) of the type of the data."""
        return outputs.to(like.dtype).unflatten(-1, (self.elementwise.num_parameters, -1))


class Patches(Bijection):
    """(N, C, H, W) to (N, T, F): squares of `patch` x `patch` pixels in raster order, F = C patch^2."""

    def __init__(self, shape: tuple[int, int, int], patch: int) -> None:
        super().__init__()
        self.patch, self.size = patch, (shape[1] // patch, shape[2] // patch)
        self.num_tokens, self.token_dims = self.size[0] * self.size[1], shape[0] * patch**2

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, self.patch).flatten(2).mT, x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return F.pixel_shuffle(z.mT.unflatten(2, self.size), self.patch)


class Join(Bijection):
    """Tokens (N, T, F) to (N, T F)."""

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z.unflatten(1, (self.num_tokens, -1))


class FlatActNorm(ActNorm):
    """Activation normalisation of every dimension of (N, *shape)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = super().forward(x.flatten(1))
        return z.view_as(x), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return super().inverse(z.flatten(1)).view_as(z)
