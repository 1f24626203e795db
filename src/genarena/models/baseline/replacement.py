"""Draws without replacement. Repeated samples are their own nearest neighbours, and k-NN balls of radius 0 hold nothing."""

import torch
from torch import Tensor


def positions(size: int, num_samples: int, device: torch.device) -> Tensor:
    """(num_samples,) random numbers in [0, size), none of them twice before each has come once."""
    rounds = [torch.randperm(size, device=device) for _ in range(max(1, -(-num_samples // size)))]
    return torch.cat(rounds)[:num_samples]
