"""Times of a training batch."""

import torch
from torch import Tensor


def even_times(num: int, device: torch.device) -> Tensor:
    """Times (num,) in [0, 1), spread evenly from one random start (Kingma et al. 2021, arXiv 2107.00630, appendix I.1).

    Each one is uniform; their mean loss varies less than that of independent times.
    """
    return (torch.rand(1, device=device) + torch.arange(num, device=device) / num) % 1.0


def column(t: Tensor, like: Tensor) -> Tensor:
    """t (N,) shaped (N, 1, ...) to broadcast with `like`."""
    return t.view(-1, *[1] * (like.dim() - 1))
