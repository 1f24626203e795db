"""Your own table of numbers, for density estimation on vectors: an .npy, .npz, .csv or .tsv file, a row per example.

The protocol is that of Papamakarios, Pavlakou & Murray 2017 (MAF, arXiv 1705.07057, app. D): the last tenth of the rows is
the test split, the last tenth of the remaining rows the validation split, and every column is normalised by the mean and the
standard deviation of training and validation rows. As in that paper, log-likelihoods are those of the normalised data, in
nats; those of the raw data are lower by `log_scale` nats. With `data.missing` they are normalised once more, see `TableSet`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genarena.data.batches import Split
from genarena.data.reading.tables import Table, read_tables
from genarena.data.table_set import TableSet
from genarena.errors import DataError, counted
from genarena.options.hints import nearest
from genarena.options.values import BelowRoot, Count

LEAST_SPREAD = 1e-9  # of (max - min) / largest magnitude; below it, rounding would be visible in normalised float32


class Tabular(TableSet):
    """Floats (N, D), D = `num_dims` columns.

    path: .npy (N, D); .npz with one array, or with the splits as arrays `train`, `val` and `test`; .csv or .tsv. A relative
        path is relative to `root`.
    label: the column of labels, whole numbers, by its name or its number counted from 1; it is no column of the rows.
        The splits have the rows whose label is `only`. An .npz file may have arrays X and y, whose labels are the column `y`.
    header: whether the first line of a text file holds column names; None: yes, if it holds no number, or if it is 0, 1, 2,
        ... above numbers with decimals.
    Raises DataError for another number of columns, too few rows, a constant column, and values that are not finite.
    """

    name = "tabular"

    num_dims: Count = 2
    path: BelowRoot = ""
    header: bool | None = None
    label: str | int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spec.shape != (self.num_dims,) or self.spec.is_discrete:
            raise DataError(
                f"data.num_dims={self.num_dims}: expected the shape of data.spec, {self.spec.shape}, and floats"
            )
        self.file = Path(self.root) / self.path
        if (self.label is None) != (self.only is None):
            given, wanted = ("only", "label") if self.label is None else ("label", "only")
            raise DataError(f"data.{given}={getattr(self, given)}: it needs data.{wanted} too")

    def load(self) -> tuple[Split, Split, Split]:
        read = read_tables(self.file, self.header)
        pairs = [self._parted(table) for table in read]
        tables, self.column_names = [rows for rows, _ in pairs], self._kept(read[0].names)
        for rows in tables:
            if rows.shape[1] != self.spec.num_dims:
                raise DataError(
                    f"data.num_dims={self.spec.num_dims}: {self.file} has {counted(rows.shape[1], 'column')}"
                )
        parts = tables if len(tables) == 3 else self._last_tenths(tables[0])
        mean, scale = self._statistics(np.concatenate(parts[:2]))
        self.log_scale = float(np.log(scale).sum())
        self.raw_center, self.raw_scale = torch.from_numpy(mean), torch.from_numpy(scale)
        others = np.concatenate([others for _, others in pairs])
        self.others = torch.from_numpy((others - mean) / scale).float()
        return tuple(Split(torch.from_numpy((rows - mean) / scale).float()) for rows in parts)

    def cut(self, name: str, split: Split) -> Split:
        """All rows have the label `only`: `load` has left out the others."""
        y = None if self.only is None else torch.full((split.size,), self.only)
        return Split(super().cut(name, Split(split.x, y)).x)

    def _parted(self, table: Table) -> tuple[np.ndarray, np.ndarray]:
        """Rows (N, D) of the splits, and rows of other labels, both without the column of labels."""
        if self.label is None:
            return table.rows, table.rows[:0]
        column = self._place_of_label(table.names or (), table.rows.shape[1])
        return self.apart(np.delete(table.rows, column, 1), table.rows[:, column])

    def _place_of_label(self, names: Sequence[str], width: int) -> int:
        """The column of labels, counted from 0. Raises DataError if there is none."""
        name = str(self.label)
        column = names.index(name) if name in names else int(name) - 1 if name.isdecimal() else -1
        if not 0 <= column < width:
            known = ", ".join(names) if names else f"1 to {width}"
            raise DataError(
                f"data.label={name}: {self.file} has no such column{nearest(name, names)}; there are {known}"
            )
        return column

    def _kept(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """The names of the columns of the rows."""
        if names is None or self.label is None:
            return names
        column = self._place_of_label(names, len(names))
        return (*names[:column], *names[column + 1 :])

    def identity(self) -> dict[str, Any]:
        return {
            **({} if self.label is None else {"label": self.label}),
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
            raise DataError(
                f"{self.file} has {counted(len(table), 'row')}, too few to give a tenth each to validation and test"
            )
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
