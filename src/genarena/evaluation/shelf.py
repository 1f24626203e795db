"""Results about real examples, kept in the cache on disk under the data id and a hash of what they were computed from."""

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genarena.evaluation import features


class Shelf:
    """Of one data set. Anything else that a result depends on belongs in its name."""

    def __init__(self, data_id: str) -> None:
        self.data_id = data_id

    def under(self, *rows: Tensor) -> Callable[[str, Callable[[], Any]], Any]:
        """`kept(name, make)`: what `make` returns, now or in an earlier process for the same rows (N, *shape)."""
        hasher = hashlib.blake2b(digest_size=8)
        for part in rows:
            hasher.update(part.contiguous().view(torch.uint8).numpy())
        digest = hasher.hexdigest()
        return lambda name, make: features.cached(f"{self.data_id}/neighbours-{digest}-{name}.pt", make)
