"""Sets with known factors that come as one published file: read once into an array on disk, which is mapped into memory."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from genarena.data.factor_set import FactorSet
from genarena.data.ground_truth import combinations, sizes_of
from genarena.data.published_set import PublishedSet
from genarena.data.reading import mapped
from genarena.errors import DataError
from genarena.files.atomic import replace_atomically
from genarena.files.cache import alone, writable_cache

DIGEST = 16  # bytes that tell pictures apart
ROWS_AT_ONCE = 4_096


class FactorFile(FactorSet, PublishedSet):
    """A subclass writes `files` (one, with its checksum), `kept`, `blocks` and `unpacked`.

    kept: the shape of a picture as it is kept in the cache, in bytes.
    """

    kept: ClassVar[tuple[int, ...]]

    @abstractmethod
    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        """The pictures in the order of the grid, uint8 (n, *kept). Raises DataError for a file in another layout."""

    @abstractmethod
    def unpacked(self, rows: np.ndarray) -> np.ndarray:
        """Kept rows (n, *kept) to pictures uint8 (n, *shape)."""

    def open(self) -> Tensor:
        path = self.obtain(self.files[0])
        stem = writable_cache("factors", self.name) / self.files[0].checksum[:16]
        rows, digests, facts = (stem.with_suffix(f".{kind}") for kind in ("u8", "digests", "json"))
        grid = prod(sizes_of(self.factor_sizes))
        with alone(stem.with_suffix(".lock")):
            if not facts.is_file():
                self._store(path, rows, digests, facts, grid)
            known = json.loads(facts.read_text())
        self._rows = mapped.read(rows, (grid, *self.kept), known["rows"]).numpy()
        self._pixels = known["rows"]
        each = mapped.read(digests, (grid, DIGEST), known["digests"]).numpy()
        return torch.from_numpy(np.unique(each.view(f"V{DIGEST}")[:, 0], return_inverse=True)[1])

    def pictures(self, number: Tensor) -> Tensor:
        return torch.from_numpy(self.unpacked(self._rows[number.numpy()]))

    def identity(self) -> dict[str, str]:
        return {"label": self.label, "pixels": self._pixels}

    def expected(self) -> np.ndarray:
        """The value indices (N, K) of the rows of the file."""
        grid = prod(sizes_of(self.factor_sizes))
        return combinations(torch.arange(grid), self.factor_sizes).numpy()

    def _store(self, path: Path, rows: Path, digests: Path, facts: Path, grid: int) -> None:
        found: list[bytes] = []

        def told() -> Iterator[np.ndarray]:
            for block in self.blocks(path):
                found.extend(hashlib.blake2b(row.tobytes(), digest_size=DIGEST).digest() for row in block)
                yield block

        known = {"rows": mapped.write(rows, told(), (grid, *self.kept))}
        if len(found) != grid:
            raise DataError(f"{path} has {len(found):,} pictures, expected {grid:,}")
        each = np.frombuffer(b"".join(found), np.uint8).reshape(grid, DIGEST)
        known["digests"] = mapped.write(digests, [each], each.shape)
        replace_atomically(facts, lambda temporary: temporary.write_text(json.dumps(known)))
