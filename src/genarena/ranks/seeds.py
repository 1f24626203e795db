"""Seeds derived from their purpose, so that random numbers depend neither on earlier draws nor on the drawing process.

Noise of training batch k on rank r: (seed, NOISE, k, r). Block k of a validation: (VALIDATION, k); of an evaluation:
(evaluation.sample_seed, seed of the run, k), whichever rank works on it, so that no result depends on the number of ranks.
"""

import hashlib

import torch

NOISE, VALIDATION = 1, 2  # purposes of seeds


def derived(*key: int) -> int:
    """A seed in [0, 2^63), a hash of these numbers."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "little") >> 1


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU with the seed of these numbers."""
    return torch.Generator().manual_seed(derived(*key))
