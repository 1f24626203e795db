"""Reads training curves from `metrics.csv`, averaged to few points."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genarena.errors import ArenaError, DataError, printable
from genarena.files import foreign

NUM_POINTS = 50
NUM_CURVES = 40  # largest number of curves per run
SIZE = 200_000_000  # bytes that a file may have
LARGEST = 1e100  # small enough that its square is finite
Curve = list[tuple[float, float]]


def read(path: Path) -> dict[str, Curve]:
    """Key -> [(share of the budget, value)]: means over `NUM_POINTS` equal parts of the budget; {} if there is no file.

    Only training losses and validation values are read; non-finite values are left out. Raises DataError or Untrusted if the
    file cannot be read.
    """
    sums: dict[str, dict[int, list[float]]] = {}
    with _rows(path) as reader:
        header = next(reader, [])
        wanted = [(index, printable(key, keep="")) for index, key in enumerate(header) if _is_shown(key)][:NUM_CURVES]
        at, share = header.index("progress") if "progress" in header else None, 0.0
        for row in reader:
            if at is not None and at < len(row) and row[at]:
                share = min(1.0, max(0.0, _float(row[at]) or 0.0))
            for index, key in wanted:
                value = _float(row[index]) if index < len(row) and row[index] else None
                if value is not None:
                    parts = sums.setdefault(key, {})
                    part = parts.setdefault(min(NUM_POINTS - 1, int(share * NUM_POINTS)), [0.0, 0.0, 0.0])
                    part[0] += 1.0
                    part[1] += share
                    part[2] += value
    return {key: [(x / count, y / count) for _, (count, x, y) in sorted(parts.items())] for key, parts in sums.items()}


def _is_shown(key: str) -> bool:
    return key.startswith("val/") or (key.startswith("train/") and key.endswith("loss"))


def over_steps(path: Path) -> dict[str, Curve]:
    """Validation key -> [(share of the training steps, value)], every validation; {} if there is no file.

    Steps that a resumed run has repeated are counted once, with the new value. Raises DataError or Untrusted if the file
    cannot be read.
    """
    found: dict[str, dict[float, float]] = {}
    last = 0.0
    with _rows(path) as reader:
        header = next(reader, [])
        at = next((header.index(name) for name in ("step", "progress") if name in header), None)
        wanted = [(index, printable(key, keep="")) for index, key in enumerate(header) if key.startswith("val/")]
        for row in reader if at is not None else ():
            step = _float(row[at]) if at < len(row) and row[at] else None
            if step is None:
                continue
            last = max(last, step)
            for index, key in wanted[:NUM_CURVES]:
                value = _float(row[index]) if index < len(row) and row[index] else None
                if value is not None:
                    former = {x: y for x, y in found.get(key, {}).items() if x < step}
                    found[key] = former | {step: value}
    return {key: [(step / (last or 1.0), value) for step, value in curve.items()] for key, curve in found.items()}


def validations(path: Path, key: str) -> list[float]:
    """The values of `key` in the order of training, up to the first damage in the file; [] if there is no file.

    Steps that a resumed run has repeated are counted once, with the new value.
    """
    values: dict[float, float] = {}
    with suppress(ArenaError), _rows(path) as reader:
        header = next(reader, [])
        for row in reader:
            cells = dict(zip(header, row, strict=False))
            step, value = _float(cells.get("step", "")), _float(cells.get(key, ""))
            if step is not None and value is not None:
                values = {at: former for at, former in values.items() if at < step} | {step: value}
    return list(values.values())


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    """The rows of a CSV file; none if there is no file. Raises DataError or Untrusted."""
    try:
        with foreign.opened(path, SIZE) as file, io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
            yield csv.reader(text)
    except FileNotFoundError:
        yield iter(())
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) <= LARGEST else None
