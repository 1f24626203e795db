"""Codes: vectors of images, and images of vectors. From a model, or from pixels and principal components, the floors."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat

import torch
from torch import Tensor

from genarena.likelihood import to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Denoises, Emits, Infers
from genarena.options.values import Count
from genarena.tasks.base import Algorithm
from genarena.tasks.editing.probability_flow import Flow

ROWS = 64  # images at once
LEVELS = 2**23  # probabilities of levels at once: 64 MiB


Coding = Callable[..., Tensor]  # (images or codes, their conditions = None)


@dataclass(frozen=True)
class Codes:
    """encode: images (N, *shape) in [-1, 1] to codes (N, D). decode: codes to images, not clamped. Both take the conditions
    (N, size), as `conditions.of` gives them, after the images or codes. is_smooth: whether a small move of a code is seen in
    the image. nfe: network evaluations of a code, and of an image."""

    encode: Coding
    decode: Coding
    is_smooth: bool = True
    nfe: tuple[int, int] = (1, 1)


@dataclass(frozen=True)
class Coder(Algorithm):
    """How a model's codes are had."""

    @abstractmethod
    def codes(self, model: GenerativeModel) -> Codes:
        """Those of a conditional model depend on the condition: they are the codes of p(x | y)."""


@dataclass(frozen=True)
class Autoencoder(Coder):
    """The model's own `encode`; images are `emit(z)`, or the mean of p(x | z), or what `decode` gives."""

    name = "autoencoder"
    needs = Decodes
    exactness = "asymptotic"

    def codes(self, model: GenerativeModel) -> Codes:
        shapes: list[torch.Size] = []  # of one code

        def encode(x: Tensor, y: Tensor | None) -> Tensor:
            z = model.encode(levels_of(x, model), y).float().cpu()
            shapes[:] = [z.shape[1:]]
            return z.flatten(1)

        def decode(z: Tensor, y: Tensor | None) -> Tensor:
            return image_of(model, z.unflatten(1, shapes[0]), y).cpu()

        return Codes(chunked(encode, model.device), chunked(decode, model.device), isinstance(model, Emits | Infers))


@dataclass(frozen=True)
class DDIMInversion(Coder):
    """The code is the noise that the probability flow takes the image to. steps: in each direction."""

    name = "ddim_inversion"
    needs = Denoises
    exactness = "asymptotic"
    paper = "2010.02502"

    steps: Count = 50

    def codes(self, model: GenerativeModel) -> Codes:
        def encode(x: Tensor, y: Tensor | None) -> Tensor:
            return Flow(model, self.steps, y).to_noise(x).cpu().flatten(1)

        def decode(z: Tensor, y: Tensor | None) -> Tensor:
            return Flow(model, self.steps, y).to_data(z.unflatten(1, model.spec.shape)).cpu()

        return Codes(chunked(encode, model.device), chunked(decode, model.device), nfe=(self.steps, self.steps))


def levels_of(x: Tensor, model: GenerativeModel) -> Tensor:
    """Images in [-1, 1] to levels."""
    most = model.spec.num_levels - 1
    return ((x.clamp(-1.0, 1.0) + 1.0) * (0.5 * most)).round().to(model.spec.dtype)


def image_of(model: GenerativeModel, z: Tensor, y: Tensor | None = None) -> Tensor:
    """Codes to images in [-1, 1], smooth in z where the model allows it: the emitted image, or the mean of p(x | z, y)."""
    if isinstance(model, Emits):
        return model.emit(z, y)
    if not isinstance(model, Infers):
        return to_space(model.decode(z, y), model.spec)
    values = torch.linspace(-1.0, 1.0, model.spec.num_levels, dtype=torch.float64, device=z.device)
    rows = max(1, LEVELS // (model.spec.num_levels * model.spec.num_dims))
    means = []
    for first in range(0, len(z), rows):
        part = slice(first, first + rows)
        given = model.likelihood_of(z[part], None if y is None else y[part])
        means.append(torch.einsum("nl...,l->n...", given.probs(), values))
    return torch.cat(means).float()


def chunked(function: Coding, device: torch.device) -> Coding:
    """The function of rows and their conditions, without gradients, on `ROWS` rows at a time, which are moved to a device."""

    @torch.no_grad()
    def applied(x: Tensor, y: Tensor | None = None) -> Tensor:
        given = repeat(None) if y is None else [part.to(device) for part in y.split(ROWS)]
        return torch.cat([function(part.to(device), each) for part, each in zip(x.split(ROWS), given, strict=False)])

    return applied


def standardised(codes: Codes, train: Tensor, y: Tensor | None = None) -> tuple[Codes, Tensor]:
    """The codes with the mean and the variance of those of training images (M, *shape) taken out, number by number; and the
    codes (M, D) of these images, of conditions y.

    Directions then do not depend on the scale of a code, and a number that the model does not use is not moved.
    """
    z = codes.encode(train, y)
    mean, scale = z.double().mean(0).float(), z.double().std(0).clamp_min(1e-6).float()
    own = replace(
        codes,
        encode=lambda x, y=None: (codes.encode(x, y) - mean) / scale,
        decode=lambda code, y=None: codes.decode(mean + code * scale, y),
    )
    return own, (z - mean) / scale


# -- floors ------------------------------------------------------------------------------------------------------------


def pixels(shape: tuple[int, ...]) -> Codes:
    """The image is its own code."""
    return Codes(lambda x, y=None: x.flatten(1), lambda z, y=None: z.unflatten(1, shape), nfe=(0, 0))


def principal_components(train: Tensor, num: int) -> Codes:
    """Coordinates in the `num` directions of largest variance of images (N, *shape), scaled to unit variance."""
    shape, rows = train.shape[1:], train.flatten(1).double()
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(rows.T))
    scale = values[-num:].clamp_min(1e-12).sqrt()
    ways = vectors[:, -num:]
    return Codes(
        lambda x, y=None: ((x.flatten(1).double() - mean) @ ways / scale).float(),
        lambda z, y=None: (mean + (z.double() * scale) @ ways.T).float().unflatten(1, shape),
        nfe=(0, 0),
    )
