"""Tables that come with scikit-learn: no download. Each column is standardised by the mean and standard deviation of
training rows.

Rows that are repeated count once. A tenth is validation, a fifth test, drawn with a fixed seed.
"""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.splitting import seeded_split
from genarena.data.table_set import TableSet
from genarena.errors import DataError

FOLDER = Path("datasets", "data")  # in scikit-learn; to import the package would take half a second


class SklearnTable(TableSet):
    """A subclass names `files`: a table whose last column is the target, or a table and a column of targets."""

    files: ClassVar[tuple[str, ...]]
    skip: ClassVar[int] = 1  # lines before the numbers
    separator: ClassVar[str | None] = ","

    def load(self) -> tuple[Split, Split, Split]:
        table = np.column_stack([self._read(file) for file in self.files])
        table = table[np.sort(np.unique(table, axis=0, return_index=True)[1])]
        if self.only is not None:
            if not self.spec.num_classes:
                raise DataError(f"data.only={self.only}: {self.name} has no labels")
            table, others = self.apart(table, table[:, -1])
        whole = Split(torch.from_numpy(table[:, :-1]), torch.from_numpy(table[:, -1]))
        parts = dict(zip(("train", "val", "test"), seeded_split(whole, len(table) // 10, len(table) // 5), strict=True))
        center, scale = parts["train"].x.mean(0), parts["train"].x.std(0, correction=0)
        self.raw_center, self.raw_scale = center, scale
        if self.only is not None:
            self.others = ((torch.from_numpy(others[:, :-1]) - center) / scale).float()
        self._targets = {part: split.y.long() if self.spec.num_classes else split.y for part, split in parts.items()}
        return tuple(
            Split(((split.x - center) / scale).float(), self._targets[part] if self.spec.num_classes else None)
            for part, split in parts.items()
        )

    def cut(self, name: str, split: Split) -> Split:
        self._targets[name] = super().cut(name, Split(split.x, self._targets[name])).y
        return super().cut(name, split)

    def targets(self, part: str) -> Tensor:
        return self._targets[part]

    def _read(self, file: str) -> np.ndarray:
        path = Path(find_spec("sklearn").origin).parent / FOLDER / file
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            return np.loadtxt(lines, delimiter=self.separator, skiprows=self.skip, ndmin=2)
