"""Lines in the spectrum of sound at multiples of (sample rate) / group, which models leave that see sound in groups.

A flow that turns `group` samples into channels treats each place of a group by weights of its own, and what it adds to one
place repeats every `group` samples: a steady tone with overtones (Prenger, Valle & Catanzaro's code,
github.com/NVIDIA/waveglow, issues 39 and 55). For k = 1, ..., (group - 1) / 2, with S the power spectrum of a frame:

    r_k = exp(mean over frames and sounds of [ln S(bin of k fs / group) - mean of ln S over its neighbours])

The mean of logarithms weighs quiet frames as much as loud ones: a hum is heard in the pauses, and sound that is nowhere smooth
has a ratio of about 1.
"""

import torch
from torch import Tensor

WINDOW = 1024  # samples, about: a multiple of the group; half as many between frames
SHORTEST = WINDOW + 32  # samples, of any group
NEAREST, FURTHEST = (
    3,
    8,
)  # bins to neighbours: beyond the main lobe of the window, and before the spectrum has changed much
FLOOR = 1e-12  # of powers, below the rounding of 16 bits
AT_ONCE = 2**20  # samples


def lines(x: Tensor, group: int) -> Tensor:
    """ln r_k of each sound (N, T), (N, (group - 1) // 2) float64; the mean over sounds and `exp` are left.

    Raises ValueError for sound shorter than 1,056 samples, and for a group below 3 or above 64.
    """
    if not 3 <= group <= 64:
        raise ValueError(f"group={group}: expected 3 to 64")
    if x.shape[1] < SHORTEST:
        raise ValueError(f"{x.shape[1]} samples: a spectrum with lines needs {SHORTEST:,}")
    rows = max(1, AT_ONCE // x.shape[1])
    return torch.cat([_lines(part.double(), group) for part in x.split(rows)])


def _lines(x: Tensor, group: int) -> Tensor:
    size = group * round(WINDOW / group)
    spectrum = torch.fft.rfft(x.unfold(1, size, size // 2) * torch.hann_window(size, dtype=x.dtype))
    powers = spectrum.abs().square().clamp_min(FLOOR).log().mean(1)  # (N, bins)
    places = torch.arange(1, (group + 1) // 2) * (size // group)
    steps = torch.arange(NEAREST, FURTHEST + 1)
    beside = places[:, None] + torch.cat([-steps, steps])
    return powers[:, places] - powers[:, beside].mean(2)
