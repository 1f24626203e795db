"""Clips one after the other in memory, their mel spectrograms, and segments of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.reading.lazy import Lazy
from genarena.likelihood import to_amplitudes
from genarena.spec import MAX_LEVELS
from genarena.statistics import mel

SILENCE = MAX_LEVELS // 2  # the level of the integer 0
IN_MEMORY = 2**26  # numbers of a split: with more, segments are taken from the clips when they are indexed


def levels_of(samples: Tensor) -> Tensor:
    """int16 samples of a WAV file to int32 levels 0 .. 65,535."""
    return samples.int() + SILENCE


def clip_mel(samples: Tensor, sample_rate: int) -> Tensor:
    """(frames, BANDS) float32, the mel spectrogram of a clip (T,) int16, computed in float64."""
    amplitudes = to_amplitudes(levels_of(samples).double(), MAX_LEVELS)
    return mel.log_mel(amplitudes[None], sample_rate)[0].T.float()


@dataclass(frozen=True)
class Recordings:
    """samples (S,) int16: all clips, one after the other. mels (F, BANDS) float32: their mels. lengths (K,) int64: samples of
    each clip."""

    samples: Tensor
    mels: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, clips: Iterable[Tensor], sample_rate: int) -> "Recordings":
        """The recordings of clips (T,) int16."""
        clips = list(clips)
        mels = torch.cat([clip_mel(clip, sample_rate) for clip in clips])
        return cls(torch.cat(clips), mels, torch.tensor([len(clip) for clip in clips]))

    @cached_property
    def first_samples(self) -> Tensor:
        """(K,) place of each clip in `samples`."""
        return self.lengths.cumsum(0) - self.lengths

    @cached_property
    def first_frames(self) -> Tensor:
        """(K,) place of each clip in `mels`."""
        frames = self.lengths // mel.HOP + 1
        return frames.cumsum(0) - frames

    def clip(self, number: int) -> tuple[Tensor, Tensor]:
        """Levels (1, T) int32 and the mel (BANDS, frames) of a whole clip."""
        length = int(self.lengths[number])
        first, frame = int(self.first_samples[number]), int(self.first_frames[number])
        levels = levels_of(self.samples[first : first + length])
        return levels[None], self.mels[frame : frame + mel.num_frames(length)].T

    def starts(self, clips: Tensor, segment: int, stride: int) -> tuple[Tensor, Tensor]:
        """For segments of `segment` samples that start every `stride` samples, both multiples of HOP: the clip (N,) of each,
        and its first sample in it (N,). What is left at the end of a clip is in no segment."""
        counts = (self.lengths[clips] - segment) // stride + 1
        owners = clips.repeat_interleave(counts)
        places = torch.cat([torch.arange(count) * stride for count in counts.tolist()] or [clips[:0]])
        return owners, places

    def segments(self, clips: Tensor, segment: int, stride: int, y: Tensor | None = None) -> Split:
        """The segments of these clips (n,), with their mels. y (K,): a label of each clip."""
        owners, places = self.starts(clips, segment, stride)
        frames = mel.num_frames(segment)
        x = Lazy(self.first_samples[owners] + places, partial(_sound, self.samples, segment))
        mels = Lazy(self.first_frames[owners] + places // mel.HOP, partial(_frames, self.mels, frames))
        if x.shape.numel() <= IN_MEMORY:
            x, mels = x[:], mels[:]
        return Split(x, None if y is None else y[owners], mels=mels)


def _sound(samples: Tensor, segment: int, first: Tensor) -> Tensor:
    """(n, 1, segment) int32 levels, from these samples on."""
    return levels_of(samples.unfold(0, segment, 1)[first])[:, None]


def _frames(mels: Tensor, frames: int, first: Tensor) -> Tensor:
    """(n, BANDS, frames) from these frames on."""
    return mels.unfold(0, frames, 1)[first]
