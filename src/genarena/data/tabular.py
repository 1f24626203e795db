"""Your own table of numbers, for density estimation on vectors: an .npy, .npz, .csv or .tsv file, a row per example.

The protocol is that of Papamakarios, Pavlakou & Murray 2017 (MAF, arXiv 1705.07057, app. D): the last tenth of the rows is
the test split, the last tenth of the remaining rows the validation split, and every column is normalised by the mean and the
standard deviation of training and validation rows. As in that paper, log-likelihoods are those of the normalised data, in
nats; those of the raw data are lower by `log_scale` nats. With `data.missing` they are normalised once more, see `TableSet`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from genarena.data.batches import Split
from genarena.data.reading.tables import read_tables
from genarena.data.table_set import TableSet
from genarena.errors import DataError
from genarena.options.values import BelowRoot, Count

LEAST_SPREAD = 1e-9  # of (max - min) / largest magnitude; below it, rounding would be visible in normalised float32


class Tabular(TableSet):
    """Floats (N, D), D = `num_dims` columns.

    path: .npy (N, D); .npz with one array, or with the splits as arrays `train`, `val` and `test`; .csv or .tsv. A relative
        path is relative to `root`.
    header: whether the first line of a text file holds column names; None: yes, if it holds no number, or if it is 0, 1, 2,
        ... above numbers with decimals.
    Raises DataError for another number of columns, too few rows, a constant column, and values that are not finite.
    """

    name = "tabular"

    num_dims: Count = 2
    path: BelowRoot = ""
    header: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spec.shape != (self.num_dims,) or self.spec.is_discrete:
            raise DataError(
                f"data.num_dims={self.num_dims}: expected the shape of data.spec, {self.spec.shape}, and floats"
            )
        self.file = Path(self.root) / self.path

    def load(self) -> tuple[Split, Split, Split]:
        read = read_tables(self.file, self.header)
        tables, self.column_names = [table.rows for table in read], read[0].names
        for rows in tables:
            if rows.shape[1] != self.spec.num_dims:
                raise DataError(f"data.num_dims={self.spec.num_dims}: {self.file} has {rows.shape[1]} columns")
        parts = tables if len(tables) == 3 else self._last_tenths(tables[0])
        mean, scale = self._statistics(np.concatenate(parts[:2]))
        self.log_scale = float(np.log(scale).sum())
        self.raw_center, self.raw_scale = torch.from_numpy(mean), torch.from_numpy(scale)
        return tuple(Split(torch.from_numpy((rows - mean) / scale).float()) for rows in parts)

    def identity(self) -> dict[str, Any]:
        return {
            "file": self.file.name,
            "normalised": "by mean and standard deviation of train and val",
            "log_scale": round(self.log_scale, 6),
            **super().identity(),
        }

    def _last_tenths(self, table: np.ndarray) -> list[np.ndarray]:
        """Training, validation and test rows: the last tenth is test, the last tenth of the rest is validation."""
        num_test = len(table) // 10
        rest = table[: len(table) - num_test]
        num_val = len(rest) // 10
        if not num_test or not num_val:
            raise DataError(f"{self.file}: {len(table)} rows are too few to give a tenth each to validation and test")
        return [rest[: len(rest) - num_val], rest[len(rest) - num_val :], table[len(table) - num_test :]]

    def _statistics(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (D,) of every column. Raises DataError for a column that is constant or too large."""
        low, high = rows.min(0), rows.max(0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = rows.mean(0), rows.std(0)
            constant = high - low <= LEAST_SPREAD * np.maximum(np.abs(low), np.abs(high))
        if constant.any():
            raise DataError(
                f"{self.file}: column {constant.argmax() + 1} is constant, and so has no density: leave it out"
            )
        if not np.isfinite(scale).all():
            column = np.isfinite(scale).argmin()
            raise DataError(f"{self.file}: column {column + 1} reaches {high[column]:g}, too large to be normalised")
        return mean, scale
