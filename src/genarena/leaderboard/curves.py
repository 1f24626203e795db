"""Training curves from `metrics.csv`, few enough points to draw."""

import csv
import math
from pathlib import Path

NUM_POINTS = 50
Curve = list[tuple[float, float]]


def read(path: Path) -> dict[str, Curve]:
    """Key -> [(share of the budget, value)]: means over equal parts of the budget; {} where there is no file.

    Losses in training, and everything of validation, are kept. What is not finite is left out.
    """
    if not path.is_file():
        return {}
    sums: dict[str, dict[int, list[float]]] = {}
    share = 0.0
    with path.open(newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        wanted = [
            (i, key)
            for i, key in enumerate(header)
            if key.startswith("val/") or (key.startswith("train/") and key.endswith("loss"))
        ]
        at = header.index("progress") if "progress" in header else None
        for row in reader:
            if at is not None and at < len(row) and row[at]:
                share = _float(row[at]) or 0.0
            for index, key in wanted:
                value = _float(row[index]) if index < len(row) and row[index] else None
                if value is not None:
                    parts = sums.setdefault(key, {})
                    part = parts.setdefault(min(NUM_POINTS - 1, int(share * NUM_POINTS)), [0.0, 0.0, 0.0])
                    part[0] += 1.0
                    part[1] += share
                    part[2] += value
    return {key: [(x / count, y / count) for _, (count, x, y) in sorted(parts.items())] for key, parts in sums.items()}


def validations(path: Path, key: str) -> list[float]:
    """The values of `key` in the order of training; [] where there is no file yet. What a resumed run did again counts once."""
    if not path.is_file():
        return []
    found: dict[float, float] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            step, value = _float(row.get("step") or ""), _float(row.get(key) or "")
            if step is not None and value is not None:
                found = {at: former for at, former in found.items() if at < step} | {step: value}
    return list(found.values())


def _float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
