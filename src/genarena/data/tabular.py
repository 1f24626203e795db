"""Your own table of numbers, for density estimation on vectors: an .npy, .npz or .csv file, a row per example.

The protocol of Papamakarios, Pavlakou & Murray 2017 (MAF, arXiv 1705.07057, app. D): the last tenth of the rows is the
test split, the last tenth of what remains the validation split, and every column is normalised by the mean and the
standard deviation of training and validation rows. Likelihoods are in nats *of the normalised data*, as in that paper;
those of the raw data are `log_scale` nats lower.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genarena.data.base import ArenaDataModule, DataError, Split

PARTS = ("train", "val", "test")


@dataclass(eq=False, repr=False)
class Tabular(ArenaDataModule):
    """Floats (N, D), D = `num_dims` columns.

    path: .npy (N, D); .npz with arrays `train`, `val` and `test`, which are then the splits, or with one array; .csv, with or
    without a line of names. Relative to `root` where it is not absolute. Nothing in a file is executed: no pickles.
    """

    name = "tabular"

    num_dims: int = 2
    path: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spec.shape != (self.num_dims,) or self.spec.is_discrete:
            raise DataError(
                f"data.num_dims={self.num_dims}: expected the shape of data.spec, {self.spec.shape}, and floats"
            )
        self.file = Path(self.root) / self.path

    def load(self) -> tuple[Split, Split, Split]:
        parts = self._parts()
        for name, rows in zip(PARTS, parts, strict=True):
            self._check(name, rows)
        known = np.concatenate(parts[:2])
        mean, scale = known.mean(0), known.std(0)
        if not scale.all():
            raise DataError(f"{self.file}: column {scale.argmin()} is constant, and so has no density: leave it out")
        self.log_scale = float(np.log(scale).sum())
        return tuple(Split(torch.from_numpy((rows - mean) / scale).float()) for rows in parts)

    def identity(self) -> dict[str, Any]:
        return {
            "file": self.file.name,
            "normalised": "by mean and standard deviation of train and val",
            "log_scale": round(self.log_scale, 6),
        }

    def _parts(self) -> list[np.ndarray]:
        """Training, validation and test rows, float64."""
        if not self.file.is_file():
            raise DataError(f"data.path={self.file}: there is no such file")
        if self.file.suffix not in (".npy", ".npz", ".csv"):
            raise DataError(f"data.path={self.file}: expected a file that ends in .npy, .npz or .csv")
        try:
            table = read_csv(self.file) if self.file.suffix == ".csv" else np.load(self.file, allow_pickle=False)
            if self.file.suffix == ".npz":
                if set(PARTS) <= set(table.files):
                    return [table[part].astype(np.float64) for part in PARTS]
                if len(table.files) != 1:
                    raise ValueError(f"expected one array, or train, val and test; it has {', '.join(table.files)}")
                table = table[table.files[0]]
            return last_tenths(table.astype(np.float64))
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{self.file} cannot be read as a table: {error}") from error

    def _check(self, part: str, rows: np.ndarray) -> None:
        columns = rows.shape[1] if rows.ndim == 2 else 0
        if not columns or not len(rows):
            raise DataError(f"{self.file}: its {part} rows have shape {rows.shape}, expected (rows, columns)")
        if columns != self.spec.num_dims:
            raise DataError(f"data.num_dims={self.spec.num_dims}: {self.file} has {columns} columns")
        broken = np.argwhere(~np.isfinite(rows))
        if len(broken):
            row, column = broken[0]
            raise DataError(
                f"{self.file}: {len(broken)} values are not finite, the first in {part} row {row}, column {column}"
            )


def last_tenths(table: np.ndarray) -> list[np.ndarray]:
    """Training, validation and test rows: the last tenth is test, the last tenth of the rest is validation."""
    num_test = len(table) // 10
    rest = table[: len(table) - num_test]
    num_val = len(rest) // 10
    if not num_test or not num_val:
        raise ValueError(f"{len(table)} rows are too few to give a tenth each to validation and test")
    return [rest[: len(rest) - num_val], rest[len(rest) - num_val :], table[len(table) - num_test :]]


def read_csv(path: Path) -> np.ndarray:
    """(N, D) float64; a first line that holds no number is taken for names. Raises ValueError naming a bad line."""
    rows: list[list[float]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            if not cells or (reader.line_num == 1 and not any(map(_is_number, cells))):
                continue
            if not all(map(_is_number, cells)) or (rows and len(cells) != len(rows[0])):
                raise ValueError(f"line {reader.line_num} is not {len(rows[0]) if rows else 'a row of'} numbers")
            rows.append([float(cell) for cell in cells])
    return np.array(rows)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
