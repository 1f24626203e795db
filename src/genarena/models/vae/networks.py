"""Encoders and decoders of images and of vectors, and the heads that turn a decoder's outputs into p(x|z)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from genarena.distributions import PixelDistribution, PixelHead
from genarena.models.vae.diagonal_normal import Gaussian, GaussianHead
from genarena.nets.conditioning import WithContext, num_features
from genarena.nets.image_mlp import ImageMLPDecoder, ImageMLPEncoder
from genarena.nets.patches import patch_of
from genarena.nets.resnet import ConvDecoder, ConvEncoder, ConvPyramid, initialise
from genarena.nets.strided import StridedDecoder, StridedEncoder
from genarena.spec import DataSpec

MAX_ROWS, MAX_OUTPUTS = 1024, 2**24  # largest number of codes, and of decoder outputs, in memory at once


class Networks(NamedTuple):
    """encoder: data, levels scaled to [-1, 1], and a context to (N, 2 latent_dim): mean and log-variance of q(z|x),
        and behind them the further outputs that a model asks for.

    decoder, head: codes (N, latent_dim) and a context to p(x|z). The context (N, F) is None without a condition.
    max_rows: how many codes may be decoded at once.
    """

    encoder: nn.Module
    decoder: nn.Module
    head: Callable[[Tensor], PixelDistribution | Gaussian]
    max_rows: int


class ImageNetworks(NamedTuple):
    """Sizes of the convolutional networks of `nets/resnet.py`, or of others instead, and the kind of p(x|z).

    channels: width of the finest level; see `ConvPyramid`. blocks: residual blocks per level, coarsest first; the last
    entry holds for all finer levels. hidden: width of the dense layers. patch: the finest level works at 1 / patch of the
    image's resolution; None is 4 for binary images, which need no fine decoder, and 2 otherwise. pixels, num_mixtures: of
    `PixelHead`. perceptron: widths of the tanh layers of perceptrons, in the order of the encoder; empty: convolutions.
    strided: the plain convolutions of `nets/strided.py`, of which only `hidden` can be chosen. gated: gates in place of the
    tanh of perceptrons.
    Raises ValueError for perceptrons that are strided, and for gates without perceptrons.
    """

    channels: int
    blocks: Sequence[int]
    hidden: int
    patch: int | None
    pixels: str
    num_mixtures: int
    perceptron: Sequence[int] = ()
    strided: bool = False
    gated: bool = False

    def build(self, spec: DataSpec, latent_dim: int, more: int = 0) -> Networks:
        """more: further outputs of the encoder. Raises ValueError for data that is no image of integer levels, and for a patch
        larger than the image."""
        spec.require_image("a vae")
        if self.perceptron and self.strided:
            raise ValueError(f"perceptron={list(self.perceptron)}, strided=true: expected one of the two")
        if self.gated and not self.perceptron:
            raise ValueError("gated=true: expected perceptron=[...], whose layers have the gates")
        in_channels, height, width = spec.shape
        head = PixelHead(self.pixels, spec, self.num_mixtures)
        context, outputs = num_features(spec.condition), 2 * latent_dim + more
        if widths := list(self.perceptron):
            encoder = ImageMLPEncoder(spec.shape, outputs, widths, context, self.gated)
            decoder = ImageMLPDecoder(
                latent_dim + context, (head.out_channels, height, width), widths[::-1], self.gated
            )
        elif self.strided:
            encoder = StridedEncoder(spec.shape, outputs, self.hidden, context)
            decoder = StridedDecoder(latent_dim + context, head.out_channels, (height, width), self.hidden)
        else:
            patch = patch_of(self.patch, (height, width), 4 if spec.num_levels == 2 else 2)
            plan = ConvPyramid(height, width, self.channels, self.blocks, patch)
            encoder = ConvEncoder(in_channels, outputs, plan, self.hidden, context)
            decoder = ConvDecoder(latent_dim + context, head.out_channels, plan, self.hidden)
        return Networks(encoder, decoder, head, rows_of(spec, head.out_channels))


def rows_of(spec: DataSpec, out_channels: int) -> int:
    """How many images of `out_channels` outputs per pixel may be decoded at once."""
    return max(1, min(MAX_ROWS, MAX_OUTPUTS // (out_channels * spec.shape[1] * spec.shape[2])))


def networks_for(spec: DataSpec, latent_dim: int, images: ImageNetworks, more: int = 0) -> Networks:
    """Convolutional networks for images, and perceptrons of width `images.hidden` for vectors of floats.

    more: outputs of the encoder behind the 2 latent_dim of q(z|x)."""
    if spec.is_image:
        return images.build(spec, latent_dim, more)
    return vector_networks(spec, latent_dim, images.hidden, more)


def vector_networks(spec: DataSpec, latent_dim: int, hidden: int, more: int = 0) -> Networks:
    """Two hidden layers each way, and a Gaussian p(x|z). Raises ValueError for data of integer levels."""
    if spec.is_discrete or not spec.is_vector:
        raise ValueError(
            f"a vae models images or continuous vectors, and this data set has shape {spec.shape} "
            f"with num_levels={spec.num_levels}"
        )
    context = num_features(spec.condition)
    inputs = spec.num_dims * (2 if spec.missing else 1)  # with holes, which entries are observed is an input too
    encoder = _mlp(inputs + context, hidden, 2 * latent_dim + more)
    decoder = _mlp(latent_dim + context, hidden, 2 * spec.num_dims)
    return Networks(encoder, decoder, GaussianHead(), 16 * MAX_ROWS)


def _mlp(in_features: int, hidden: int, out_features: int) -> WithContext:
    network = WithContext(
        nn.Linear(in_features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, out_features)
    )
    initialise(network)
    return network
