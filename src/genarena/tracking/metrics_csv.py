"""`metrics.csv` of a run folder: the numbers of a run in a plain file."""

import csv
import io
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genarena.errors import printable
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.tracking.base import Tracker

ROWS, SECONDS = 20, 10.0  # written after so many rows or seconds; a killed run loses no more
FINAL = ("test/", "validation/", "cost/")


class MetricsCSV(Tracker):
    """One row per logged step. A resumed run continues the file; new keys become new columns."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._set_aside_damaged()
        self.columns = list(self._read()[0])
        self.written = time.monotonic()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append({"step": step, **metrics})
        if len(self.rows) >= ROWS or time.monotonic() - self.written > SECONDS:
            self.save()

    def save(self) -> None:
        new = [key for row in self.rows for key in row if key not in self.columns]
        if new:
            former = self._read()[1]
            self.columns += list(dict.fromkeys(new))
            self._replace([*former, *self.rows])
        elif self.rows:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.columns).writerows(self.rows)
        self.rows, self.written = [], time.monotonic()

    def rewind(self, step: int) -> None:
        """Remove rows after `step`, rows from the end of an earlier run, and an incomplete last line."""
        former = self._read()[1]
        kept = [row for row in former if _number(row["step"]) <= step and not any(_final(row))]
        if kept != former:
            self._replace(kept)

    def close(self, error: BaseException | None) -> None:
        self.save()

    def _set_aside_damaged(self) -> None:
        """Rename a damaged file to `metrics.csv.damaged` with a warning. The run continues with a new file."""
        try:
            columns, rows = self._read()
            if (columns or rows) and ("step" not in columns or any(None in row for row in rows)):
                raise ValueError("its lines do not fit its first line")
        except (ValueError, csv.Error) as error:
            aside = self.path.with_name(f"{self.path.name}.damaged")
            os.replace(self.path, aside)
            print(printable(f"warning: {self.path} is damaged ({error}); it is now {aside.name}"), file=sys.stderr)

    def _read(self) -> tuple[list[str], list[dict[str, Any]]]:
        """Columns and rows. Raises ValueError or csv.Error if the file is damaged, Untrusted if it is refused as foreign."""
        if not os.path.lexists(self.path):
            return [], []
        with foreign.opened(self.path) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
            reader = csv.DictReader(text, restval=None)
            return list(reader.fieldnames or []), list(reader)

    def _replace(self, rows: list[dict[str, Any]]) -> None:
        def write(temporary: Path) -> None:
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self.columns)
                writer.writeheader()
                writer.writerows(rows)

        replace_atomically(self.path, write)


def _number(text: str | None) -> float:
    return int(text) if text and text.isdecimal() and len(text) < 19 else float("inf")


def _final(row: dict[str, Any]) -> Iterable[bool]:
    """For each cell: whether it is a value from the end of the run, or is missing because its line is incomplete."""
    return (value is None or (bool(value) and key.startswith(FINAL)) for key, value in row.items() if key is not None)
