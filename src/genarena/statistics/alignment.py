"""Which character a frame of sound belongs to: alignments that go through a text in order, without a gap.

Kim et al. 2020 (Glow-TTS, arXiv 2005.11129), eq. 6 and 7 and algorithm 1, monotonic alignment search: with the score s[i, t] of
frame t under character i, the best alignment A of T frames and L characters is found by

    Q[i, t] = max(Q[i - 1, t - 1], Q[i, t - 1]) + s[i, t],   Q[0, 0] = s[0, 0]

from the last frame of the last character backwards. Each character has at least a frame, so an alignment is the same as the
durations d (L,) of the characters, with sum d = T. All examples and characters go at once; only frames are a loop.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.errors import counted


def monotonic(scores: Tensor, letters: Tensor, frames: Tensor) -> Tensor:
    """Durations (N, L) int64, in frames, of the alignments with the largest sum of scores (N, L, T); the character of two that
    are as good lasts longer if it comes later.

    letters, frames: (N,) how many characters and frames there are of each example; others have duration 0 and do not count.
    Raises ValueError where there are fewer frames than characters.
    """
    refuse_crowded(letters, frames)
    num, num_letters, num_frames = scores.shape
    best = scores.new_full((num, num_letters), -torch.inf)
    best[:, 0] = scores[:, 0, 0]
    entered = torch.zeros(num_frames, num, num_letters, dtype=torch.bool, device=scores.device)
    for t in range(1, num_frames):
        before = F.pad(best[:, :-1], (1, 0), value=-torch.inf)
        torch.gt(before, best, out=entered[t])
        best = torch.maximum(before, best) + scores[:, :, t]
    return _backwards(entered, letters, frames)


def _backwards(entered: Tensor, letters: Tensor, frames: Tensor) -> Tensor:
    """entered (T, N, L): whether the best way to a character at a frame comes from the character before."""
    rows, place = torch.arange(len(letters), device=letters.device), letters - 1
    durations = torch.zeros(entered.shape[1:], dtype=torch.int64, device=entered.device)
    for t in range(len(entered) - 1, -1, -1):
        inside = t < frames
        durations[rows, place] += inside
        place = place - (inside & entered[t, rows, place]).long()
    return durations


def equal(letters: Tensor, frames: Tensor, num_letters: int) -> Tensor:
    """Durations (N, num_letters) int64 that differ by one at most: the flat start of a training without alignments.

    Raises ValueError where there are fewer frames than characters.
    """
    refuse_crowded(letters, frames)
    edges = torch.arange(num_letters + 1, device=letters.device).minimum(letters[:, None]) * frames[:, None]
    return (edges // letters[:, None]).diff(dim=1)


def owners(durations: Tensor, num_frames: int) -> tuple[Tensor, Tensor]:
    """The character (N, num_frames) of each frame, and how many frames (N, num_frames) of the character come before it, int64.
    Frames after the end belong to the last place."""
    ends = durations.cumsum(1)
    t = torch.arange(num_frames, device=durations.device).expand(len(durations), -1).contiguous()
    owner = torch.searchsorted(ends, t, right=True).clamp_max(durations.shape[1] - 1)
    return owner, t - (ends - durations).gather(1, owner)


def refuse_crowded(letters: Tensor, frames: Tensor) -> None:
    """Raise ValueError where there are fewer frames than characters, or no character."""
    if bool((letters < 1).any()):
        raise ValueError("a text without characters")
    if bool((crowded := frames < letters).any()):
        row = int(crowded.nonzero()[0])
        raise ValueError(
            f"{counted(int(letters[row]), 'character')} "
            f"in {counted(int(frames[row]), 'frame')}: expected a frame of each at least"
        )
