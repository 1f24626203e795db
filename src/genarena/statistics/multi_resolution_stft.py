"""The multi-resolution STFT distance of two sounds (Yamamoto, Song & Kim 2020, arXiv 1910.11480, sec. 2.2).

For each resolution m, with magnitudes X of the target and Y of the other:

    ||X - Y||_F / ||X||_F + mean |ln X - ln Y|,     X = (max(|STFT_m(x)|^2, EPS))^(1/2)

and the mean over the resolutions. Computed as in auraloss 0.4.0: windows of Hann, sound mirrored at both ends, powers not below
1e-8. The floor is part of the definition: with the 1e-7 of ParallelWaveGAN the same pair has another number. Sound is in
[-1, 1]. The ratio is that of one sound: over a batch, as a loss computes it, loud sounds would hide quiet ones.

Not symmetric: the first sound is the target.
"""

import torch
from torch import Tensor

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # size of the FFT, hop, window; samples
EPS = 1e-8  # of powers
SHORTEST = max(size for size, _, _ in RESOLUTIONS) // 2 + 1  # samples that can be mirrored
AT_ONCE = 2**17  # samples


def mr_stft(target: Tensor, other: Tensor) -> Tensor:
    """(N,) distances of sounds (N, T) in [-1, 1], of their type. Raises ValueError for fewer than 1,025 samples, and for two
    shapes."""
    if target.shape != other.shape or target.dim() != 2:
        raise ValueError(f"sounds of shape {tuple(target.shape)} and {tuple(other.shape)}: expected (N, T) twice")
    if target.shape[1] < SHORTEST:
        raise ValueError(f"{target.shape[1]} samples: the multi-resolution STFT distance needs {SHORTEST:,}")
    rows = max(1, AT_ONCE // target.shape[1])
    pairs = zip(target.split(rows), other.split(rows), strict=True)
    parts = [sum(_distance(*pair, *sizes) for sizes in RESOLUTIONS) / len(RESOLUTIONS) for pair in pairs]
    return torch.cat(parts) if parts else target.new_zeros(0)


def _distance(target: Tensor, other: Tensor, *sizes: int) -> Tensor:
    x, y = (_magnitudes(sound, *sizes) for sound in (target, other))
    convergence = torch.linalg.vector_norm(x - y, dim=1) / torch.linalg.vector_norm(x, dim=1)
    return convergence + (x.log() - y.log()).abs().mean(1)


def _magnitudes(x: Tensor, size: int, hop: int, window: int) -> Tensor:
    """(N, bins * frames)."""
    hann = torch.hann_window(window, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(x, size, hop, window, hann, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square()).clamp_min(EPS).sqrt().flatten(1)
