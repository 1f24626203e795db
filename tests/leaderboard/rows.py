"""Makes rows of runs for the tests of tables and page."""

import json
from pathlib import Path
from typing import Any

from genarena.runs.seals import digest, seal


def make_row(model: str = "vae", seed: int = 0, value: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    """A complete row with two metrics. changes: replace top-level entries."""
    fd = (
        {"value": None, "reason": "no labels"}
        if value is None
        else {"value": value, "n": 100, "higher_is_better": False}
    )
    row = {
        "schema_version": 1,
        "status": "ok",
        "model": model,
        "family": "vae",
        "paper": "1312.6114",
        "data": {"id": "digits-0", "split": "test", "splits": {"test": 360}},
        "protocol": {"id": "p0"},
        "budget": {"name": "smoke", "minutes": None, "examples": 64},
        "seed": seed,
        "overrides": [],
        "likelihood": "lower_bound",
        "metrics": {
            "bits_per_dim": {
                "value": 2.0 + 0.1 * seed,
                "n": 360,
                "title": "Bits/dim",
                "higher_is_better": False,
                "likelihood": "lower_bound",
            },
            "fd_domain": fd,
        },
        "cost": {
            "examples_seen": 64,
            "train_seconds": 1.5,
            "parameters": 10,
            "sample_seconds_per_image": 0.1,
            "peak_memory_mb": 100.0,
        },
        "versions": {"torch": "2"},
        "commit": None,
        "run": f"{model}-{seed}",
        "time": "2026-01-01T00:00:00",
    }
    return row | changes


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> Path:
    for index, row in enumerate(rows):
        run = folder / "digits" / row["model"].replace("/", "") / str(index)
        run.mkdir(parents=True)
        write_sealed(run / "result.json", row)
    return folder


def write_sealed(path: Path, row: Any) -> None:
    """Write a row, which may be invalid, with a matching seal."""
    path.write_text(json.dumps(row))
    seal(path).write_text(f"{digest(path)}  {path.name}\n")
