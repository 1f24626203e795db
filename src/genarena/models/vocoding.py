"""Sound of any length from a mel spectrogram: what vocoders give, and how a long clip is made in chunks."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from genarena.errors import counted
from genarena.likelihood import from_unit
from genarena.spec import MEL_HOP

FRAMES = 256  # hops of a chunk, at least


class Vocodes(ABC):
    """Sound from a mel of any length: a sample depends on the mel and the noise of places within `reach` of it.

    noise_channels: standard normal numbers for each sample of the sound.
    usual_sigma: what the noise is multiplied by where nobody says; None: the sound does not depend on how large the noise is.
    """

    noise_channels: int = 1
    usual_sigma: ClassVar[float | None] = 1.0

    @property
    @abstractmethod
    def reach(self) -> int | None:
        """Samples on each side of a place on whose mel and noise its sample depends; None: on those of the whole sound."""

    @abstractmethod
    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        """(N, 1, T), T = 256 (frames - 1), of mels (N, 80, frames) of any length and noise (N, noise_channels, T): what
        `assembled` takes. Raises ValueError for a model that was trained without mels."""

    def assembled(self, parts: Tensor, mel: Tensor) -> Tensor:
        """Sound (N, 1, T) in the space of `likelihood.to_space`, not rounded, of the parts of `vocode` one after the other:
        what may depend on the whole."""
        return parts

    def without_hum(self, x: Tensor, strength: float) -> Tensor:
        """Levels x (N, 1, T) of whole sounds after the denoiser, of this strength. Raises ValueError for models without one."""
        if strength:
            raise ValueError(f"{type(self).__name__} has no denoiser: only flows of sound hum")
        return x


@torch.no_grad()
def in_chunks(model: Vocodes, mel: Tensor, noise: Tensor, frames: int | None = None) -> Tensor:
    """Levels (N, 1, T) as `vocode` gives them for the whole mel, made of `frames` hops at a time with what they depend on; all
    at once, where a sample depends on the whole sound.

    mel and noise may lie on another device than the model; the levels lie where they do. frames: by default 256, or four times
    what a chunk depends on at each end, if that is more. Raises ValueError for noise of another size, and unless `frames` is
    at least 1.
    """
    num_hops = mel.shape[2] - 1
    if noise.shape != (len(mel), model.noise_channels, num_hops * MEL_HOP):
        wanted = (len(mel), model.noise_channels, num_hops * MEL_HOP)
        raise ValueError(
            f"noise has shape {tuple(noise.shape)}: expected {wanted} for a mel of {counted(mel.shape[2], 'frame')}"
        )
    reach = model.reach
    margin = 0 if reach is None else -(-reach // MEL_HOP)
    frames = max(FRAMES, 4 * margin) if frames is None else frames
    if frames < 1:
        raise ValueError(f"frames={frames}: expected at least 1")
    frames = num_hops if reach is None else frames
    parts = []
    for first in range(0, num_hops, frames):
        last = min(first + frames, num_hops)
        low, high = max(0, first - margin), min(num_hops, last + margin)
        near = mel[:, :, low : high + 1], noise[:, :, low * MEL_HOP : high * MEL_HOP]
        part = model.vocode(*(each.to(model.device) for each in near))
        parts.append(part[:, :, (first - low) * MEL_HOP : (last - low) * MEL_HOP])
    whole = model.assembled(torch.cat(parts, 2), mel.to(model.device)).to(mel.device)
    return from_unit(whole, model.spec.num_levels)
