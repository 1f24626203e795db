"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017, arXiv 1605.08803).

Differs from the paper
- Activation normalisation (Glow) between couplings instead of batch normalisation, so that the density of an example does
  not depend on its batch. The networks are weight-normalised, without batch normalisation.
- The networks see patches of pixels as channels (same masks, a fraction of the cost) and have a learned bias per position.
- Pixels first pass a learned elementwise map to a normal distribution (`Gaussianise`), unless the paper's logit is chosen.
- The noise of dequantisation may be learned (Flow++).
- With a condition, the networks of the couplings depend on it, and a mean and a scale of all latents.
- On vectors the masks alternate between even and odd dimensions, and the networks are perceptrons.
With `coupling: additive`, `base: logistic` and `multi_scale: false` it is NICE (Dinh, Krueger & Bengio 2014, arXiv 1410.8516):
images are vectors, and the volume changes by constants alone. The scales between its couplings are no extension, because a
diagonal matrix passes an additive coupling by rescaling the network: they are the paper's one matrix at the end. Its networks
have SiLU instead of ReLU.
`realnvp_paper` turns off the elementwise map, the patches and the position bias, and widens the networks at each scale.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor

from genarena.models.flow.autoregressive import Flatten
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.couplings import (
    AdditiveCoupling,
    MaskedCoupling,
    ResidualNetwork,
    VectorNetwork,
    channel_mask,
    checkerboard,
)
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.flow.multiscale import MultiScale, Squeeze, halved, num_halvings, squeezed
from genarena.models.flow.priors import LogisticPrior
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.nets.sizes import divisors, fitting
from genarena.options.values import Count, Positive
from genarena.spec import DataSpec
from genarena.training.module import Training

Shape = tuple[int, int, int]
Coupling = type[MaskedCoupling] | type[AdditiveCoupling]
COUPLINGS: dict[str, Coupling] = {"affine": MaskedCoupling, "additive": AdditiveCoupling}


class RealNVP(NormalisingFlow):
    """log p(x) = log N(f(x); 0, I) + sum over couplings of sum s(x_a), with z_b = (x_b + t(x_a)) exp(s(x_a)) (eq. 3-8).

    Images: a scale is three checkerboard couplings, squeeze, three channel-wise couplings, factor out half; the last
    scale is four checkerboard couplings (sec. 3.6). Vectors (D,) of floats: `num_couplings` couplings, exact likelihood.

    num_levels: number of scales; None: 3, or fewer where the image cannot be halved twice.
    num_blocks: residual blocks per network.
    hidden_channels: width of the networks on images; each squeeze multiplies it by `growth`.
    patch: networks see patch x patch pixels as channels, on coarser scales as many as divide the size; None: 4 on the first
        scale, or 2 or 1.
    pixels, logit_alpha, dequantisation: as in Glow. hidden_features, num_hidden_layers: of the networks on vectors.
    coupling: "additive" leaves out s. base: of the latents, N(0, 1) or the logistic distribution.
    multi_scale: without it, images are vectors too.
    """

    paper = "1605.08803"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_levels: Count | None = None,
        hidden_channels: Count = 64,
        growth: Count = 1,
        num_blocks: Count = 1,
        patch: Count | None = None,
        position_bias: bool = True,
        pixels: str = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: str = "uniform",
        num_couplings: Count = 8,
        hidden_features: Count = 128,
        num_hidden_layers: Count = 2,
        coupling: Literal["affine", "additive"] = "affine",
        base: Literal["normal", "logistic"] = "normal",
        multi_scale: bool = True,
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        context_features, make, dequantiser, chosen = num_features(spec.condition), COUPLINGS[coupling], None, {}
        if not (spec.is_vector and not spec.is_discrete):
            spec.require_image("realnvp, beside vectors of floats,")
            dequantiser = build_dequantisation(dequantisation, spec)
        if spec.is_image and multi_scale:
            chosen = sizes_of(spec.shape, num_levels, patch)
            network = partial(
                coupling_network,
                hidden_channels=hidden_channels,
                growth=growth,
                num_blocks=num_blocks,
                patch=chosen["patch"],
                position_bias=position_bias,
                context_features=context_features,
                outputs=make.outputs,
            )
            flow = image_flow(spec.shape, chosen["num_levels"], make, network)
        else:
            sizes = (num_couplings, hidden_features, num_hidden_layers, context_features)
            flow = vector_flow(spec.num_dims, make, *sizes)
        if spec.is_image:
            ends = () if multi_scale else (Flatten(spec.shape),)
            flow = Chain(pixel_bijection(pixels, logit_alpha, spec), *ends, flow)
        flow = Chain(flow, LogisticPrior()) if base == "logistic" else flow
        super().__init__(spec, training, flow, dequantiser, sampler)
        self.chosen = chosen


def sizes_of(shape: Shape, num_levels: int | None, patch: int | None) -> dict[str, int]:
    """Scales, and the side of squares on the first one, of an image. Raises ValueError for those that do not fit."""
    images = f"images of {shape[1]}x{shape[2]}"
    return {
        "num_levels": fitting("num_levels", num_levels, 3, range(1, num_halvings(shape) + 2), images),
        "patch": fitting("patch", patch, 4, divisors(*shape[1:]), images),
    }


def vector_flow(
    num_dims: int,
    make: Coupling,
    num_couplings: int,
    hidden_features: int,
    num_hidden_layers: int,
    context_features: int = 0,
) -> Chain:
    """Couplings on (D,) that change the odd and the even dimensions in turn. Raises ValueError below 2 dimensions."""
    if num_dims < 2:
        raise ValueError(f"realnvp needs at least 2 dimensions, and this data set has {num_dims}")
    layers = []
    for index in range(num_couplings):
        sizes = (num_dims, hidden_features, make.outputs * num_dims)
        network = VectorNetwork(*sizes, context_features, num_hidden_layers)
        layers += [ActNorm(num_dims), make(network, checkerboard((num_dims,), flip=index % 2 == 1))]
    return Chain(*layers, ActNorm(num_dims))


def image_flow(
    shape: Shape, num_levels: int, make: Coupling, network: Callable[[Shape, int], ResidualNetwork]
) -> MultiScale:
    """The multi-scale architecture of sec. 3.6."""
    levels, shapes, squeezes = [], [], num_levels - 1
    for index in range(squeezes):
        masks = [checkerboard(shape, flip) for flip in (False, True, False)]
        layers = couplings(shape, masks, make, partial(network, squeezes=index))
        shape = squeezed(shape)
        masks = [channel_mask(shape, flip) for flip in (False, True, False)]
        layers += [Squeeze(), *couplings(shape, masks, make, partial(network, squeezes=index + 1))]
        levels.append(Chain(*layers))
        shapes.append(shape)
        shape = halved(shape)
    masks = [checkerboard(shape, flip) for flip in (False, True, False, True)]
    last = couplings(shape, masks, make, partial(network, squeezes=squeezes))
    return MultiScale([*levels, Chain(*last, ActNorm(shape[0]))], [*shapes, shape])


def couplings(
    shape: Shape, masks: list[Tensor], make: Coupling, network: Callable[[Shape], ResidualNetwork]
) -> list[Bijection]:
    """One coupling per mask, each after an activation normalisation."""
    layers = []
    for mask in masks:
        layers += [ActNorm(shape[0]), make(network(shape), mask)]
    return layers


def coupling_network(
    shape: Shape,
    squeezes: int,
    hidden_channels: int,
    growth: int,
    num_blocks: int,
    patch: int,
    position_bias: bool,
    context_features: int = 0,
    outputs: int = 2,
) -> ResidualNetwork:
    """From the masked (C, H, W), after `squeezes` squeezes, to s and t, or t alone; a patch is the
    greatest common divisor of `patch` and the size."""
    patch, size = math.gcd(patch, *shape[1:]), shape[1:] if position_bias else None
    return ResidualNetwork(
        shape[0], hidden_channels * growth**squeezes, outputs * shape[0], num_blocks, patch, size, context_features
    )
