"""Rows of features or of examples: joined, checked, and put in an order by their content."""

import hashlib
from collections import Counter

import torch
from torch import Tensor

from genarena.errors import ArenaError, not_finite

HASHED_AT_ONCE = 4096  # rows


def finite_rows(name: str, rows: Tensor) -> Tensor:
    """The rows (N, F) on the CPU. Raises ArenaError, with the first one and their number, if rows are not finite."""
    broken = (~torch.isfinite(rows)).any(dim=1)
    if broken.any():
        raise ArenaError(
            f"{name} features: {not_finite(int(broken.sum()), len(rows), 'rows')}, the first is row "
            f"{int(broken.nonzero()[0])}"
        )
    return rows.detach().cpu()


def content_order(rows: Tensor) -> Tensor:
    """Indices (N,) that put rows (N, *shape) in the order of a hash of their content.

    The order is random in effect, like a permutation with a fixed seed, but does not depend on the given order of the rows.
    Equal rows are not neighbours in it: the hash of a row includes how many equal ones are before it.
    """
    digests, seen = [], Counter()
    for part in rows.split(HASHED_AT_ONCE):
        for row in part.numpy():
            digest = hashlib.blake2b(row.tobytes(), digest_size=16).digest()
            digests.append(_again(digest, seen[digest]) if seen[digest] else digest)
            seen[digest] += 1
    return torch.tensor(sorted(range(len(digests)), key=digests.__getitem__))


def _again(digest: bytes, times: int) -> bytes:
    """The hash of a row that has come up `times` times before."""
    return hashlib.blake2b(digest + times.to_bytes(8, "little"), digest_size=16).digest()


def joined(parts: list[Tensor]) -> Tensor:
    """The parts as one tensor. A single part is not copied, because features of 50,000 images are large."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
