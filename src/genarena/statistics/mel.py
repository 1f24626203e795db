"""Log-mel spectrograms of sound, as WaveGlow and Tacotron 2 have them: the only ones in the project.

Shen et al. 2018 (arXiv 1712.05884), sec. 2.2; Prenger, Valle & Catanzaro 2018 (arXiv 1811.00002), sec. 3:

    log(max(1e-5, M |STFT(x)|)),   x in [-1, 1),   Hann window of 1,024 samples every 256, M: 80 triangles from 0 to 8,000 Hz

The sound is mirrored by 512 samples at both ends, so that the middle of frame k is sample 256 k: T samples have
T // 256 + 1 frames. The triangles are Slaney's (Auditory Toolbox, 1998): on a scale that is linear below 1,000 Hz and
logarithmic above, and of height 2 / (width in Hz) each, as in librosa. HiFi-GAN's frames lie half a hop beside these, and
those of DiffWave are scaled to [0, 1]: a model of one kind turns those of another into noise.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.spec import MEL_BANDS as BANDS
from genarena.spec import MEL_HOP as HOP

WINDOW = 1024  # samples
HIGHEST = 8000.0  # Hz; the bands begin at 0
FLOOR = 1e-5  # of a magnitude, before the logarithm
NAME = f"waveglow: hann {WINDOW}, hop {HOP}, {BANDS} slaney bands to {HIGHEST:g} Hz, log"  # for data ids
AT_ONCE = 4096  # frames
LOUDEST = 4.0  # log-magnitude that no sound in [-1, 1) reaches at any usual rate
TOLERANCE = 1e-3


def log_mel(x: Tensor, sample_rate: int) -> Tensor:
    """(N, BANDS, T // HOP + 1) of sound x (N, T) in [-1, 1), of the type of x; float64 gives all digits at the floor.

    Gradients flow through it. Raises ValueError for fewer than 513 samples, and for a rate below 16,000 Hz.
    """
    _require_length(x.shape[1])
    bank = filterbank(sample_rate).to(x.device, x.dtype)
    padded = F.pad(x[:, None], (WINDOW // 2, WINDOW // 2), mode="reflect")[:, 0]
    frames = padded.unfold(1, WINDOW, HOP)  # (N, frames, WINDOW)
    parts = [_of_frames(part, bank) for part in frames.split(max(1, AT_ONCE // len(x)), 1)]
    return torch.cat(parts, 1).mT


def _of_frames(frames: Tensor, bank: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(frames * window(frames)).abs()
    return (spectrum @ bank.T).clamp_min(FLOOR).log()


def window(like: Tensor) -> Tensor:
    """The window (WINDOW,), of the type and on the device of a tensor."""
    return torch.hann_window(WINDOW, periodic=True, dtype=torch.float64).to(like)


@lru_cache
def filterbank(sample_rate: int) -> Tensor:
    """M (BANDS, WINDOW / 2 + 1) float64. Raises ValueError for a rate that has no 8,000 Hz."""
    if sample_rate < 2 * HIGHEST:
        raise ValueError(
            f"sample_rate={sample_rate}: expected at least {2 * HIGHEST:g}, mel spectrograms go to {HIGHEST:g} Hz"
        )
    places = torch.arange(BANDS + 2, dtype=torch.float64) * (_to_mel(HIGHEST) / (BANDS + 1))
    edges = torch.where(
        places < 15.0, places * (200.0 / 3.0), 1000.0 * torch.exp((places - 15.0) * (math.log(6.4) / 27.0))
    )
    hertz = torch.arange(WINDOW // 2 + 1, dtype=torch.float64) * (sample_rate / WINDOW)
    low, middle, high = (part[:, None] for part in (edges[:-2], edges[1:-1], edges[2:]))
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return torch.minimum(rising, falling).clamp_min(0.0) * (2.0 / (high - low))


def _to_mel(hertz: float) -> float:
    """Slaney's scale: 200 / 3 Hz a step up to 1,000 Hz, then 27 steps for a factor of 6.4."""
    return 3.0 * hertz / 200.0 if hertz < 1000.0 else 15.0 + 27.0 * math.log(hertz / 1000.0) / math.log(6.4)


def num_frames(num_samples: int) -> int:
    """Frames of so many samples."""
    return num_samples // HOP + 1


def lengths(x: Tensor) -> Tensor:
    """(N,) int64: frames of mels (N, BANDS, T) up to the last one that is above silence in any band; at least 1."""
    heard = (x > math.log(FLOOR) + TOLERANCE).any(1)
    places = torch.arange(1, x.shape[2] + 1, device=x.device)
    return (heard * places).amax(1).clamp_min(1)


def padded(x: Tensor, frames: int) -> Tensor:
    """Mels (N, BANDS, T) with silence behind them, or cut off, to (N, BANDS, frames)."""
    return F.pad(x[:, :, :frames], (0, max(0, frames - x.shape[2])), value=math.log(FLOOR))


def refuse_foreign(mel: Tensor) -> None:
    """Raise ValueError for a mel (BANDS, frames) that is none of these: another shape, or a range that only others have."""
    if mel.dim() != 2 or mel.shape[0] != BANDS or not mel.shape[1]:
        raise ValueError(f"a mel of shape {tuple(mel.shape)}: expected ({BANDS}, frames)")
    if not bool(mel.isfinite().all()):
        raise ValueError("a mel with numbers that are not finite")
    low, high = mel.min().item(), mel.max().item()
    if low < math.log(FLOOR) - TOLERANCE or high > LOUDEST or low >= 0.0:
        raise ValueError(
            f"a mel from {low:.3g} to {high:.3g}: expected natural logarithms of magnitudes, {math.log(FLOOR):.1f} in "
            f"silence and below {LOUDEST:g}; it is of another front-end"
        )


def _require_length(num_samples: int) -> None:
    if num_samples <= WINDOW // 2:
        raise ValueError(f"{num_samples} samples: a mel spectrogram needs more than {WINDOW // 2}")
