"""Sets of sound: clips of one channel and 16 bits, cut into segments of equal length."""

import hashlib
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.reading.lazy import Lazy
from genarena.data.sound.recordings import Recordings
from genarena.errors import DataError
from genarena.options.values import Count
from genarena.spec import MAX_LEVELS
from genarena.statistics import mel


class SoundSet(ArenaDataModule):
    """A subclass writes `recordings` and `parts`.

    segment: samples of an example, a multiple of 256, the step from one frame of the mel to the next. Training segments start
    every `stride` samples, also a multiple of 256; those of validation and test lie side by side. What is left at the end of a
    clip, shorter than a segment, is not used. sample_rate: samples of a second.
    The data id does not depend on what models are conditional on. Raises DataError for other sizes, or a rate below 16,000.
    """

    segment: Count = 8192
    stride: Count = 2048
    sample_rate: Count = 22_050

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("segment", "stride"):
            if (size := getattr(self, option)) % mel.HOP:
                below = max(1, size // mel.HOP) * mel.HOP
                raise DataError(f"data.{option}={size}: expected a multiple of {mel.HOP}, such as {below}")
        if self.sample_rate < 2 * mel.HIGHEST:
            raise DataError(
                f"data.sample_rate={self.sample_rate}: expected at least {2 * mel.HIGHEST:g}, mel spectrograms go to "
                f"{mel.HIGHEST:g} Hz"
            )
        wanted = ((1, self.segment), MAX_LEVELS, self.sample_rate)
        if (self.spec.shape, self.spec.num_levels, self.spec.sample_rate) != wanted:
            raise DataError(
                f"data.spec: expected shape {wanted[0]}, num_levels={MAX_LEVELS} and sample_rate={self.sample_rate}"
            )

    @abstractmethod
    def recordings(self) -> Recordings:
        """All clips. Raises DataError, in one line, for missing files and for clips that are refused."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the clips for training, validation and test. `recordings` was called before."""

    def labels(self) -> Tensor | None:
        """(K,) the label of each clip; None: they have none."""

    def load(self) -> tuple[Split, Split, Split]:
        self.clips = self.recordings()
        strides = (self.stride, self.segment, self.segment)
        labels = self.labels()
        return tuple(
            self.clips.segments(clips, self.segment, stride, labels)
            for clips, stride in zip(self.parts(), strides, strict=True)
        )

    def identity(self) -> dict[str, Any]:
        sizes = {"segment": self.segment, "stride": self.stride, "sample_rate": self.sample_rate}
        return super().identity() | sizes | {"mel": mel.NAME}

    def digest(self, name: str) -> str:
        """Of segments that are taken from the clips when they are indexed: of the clips, and of the places of the segments."""
        x = getattr(self, name).x
        if not isinstance(x, Lazy):
            return super().digest(name)
        hasher = hashlib.sha256(x.digest().encode())
        hasher.update(self.clips.samples.contiguous().view(torch.uint8).numpy())
        return hasher.hexdigest()
