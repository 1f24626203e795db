"""Seeds as functions of what they are for, so that no draw depends on what was drawn before it or on who draws it.

Noise of training batch k on rank r: (seed, NOISE, k, r). Block k of a validation or an evaluation: (seed, block), whichever
rank works on it, so that the numbers do not depend on how many ranks there are.
"""

import hashlib

import torch

NOISE, VALIDATION = 1, 2  # what a seed is for


def derived(*key: int) -> int:
    """A seed in [0, 2^63) that belongs to these numbers alone."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU with the seed of these numbers."""
    return torch.Generator().manual_seed(derived(*key))
