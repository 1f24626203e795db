"""Makes rows of runs for the tests of tables and page."""

import hashlib
import json
from pathlib import Path
from typing import Any

from genarena.runs import results
from genarena.runs.seals import digest, seal


def make_row(model: str = "vae", seed: int = 0, value: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    """A complete row with two metrics. changes: replace top-level entries. Seeds of a model and its overrides are one line."""
    fd = (
        {"value": None, "reason": "no labels"}
        if value is None
        else {"value": value, "n": 100, "higher_is_better": False}
    )
    bits = {
        "value": 2.0 + 0.1 * seed,
        "n": 360,
        "title": "Bits/dim",
        "higher_is_better": False,
        "likelihood": "lower_bound",
    }
    row = {
        "schema_version": results.SCHEMA_VERSION,
        "status": "ok",
        "model": model,
        "family": "vae",
        "paper": "1312.6114",
        "data": {"id": "digits-0", "split": "test", "splits": {"test": 360}},
        "protocol": {"version": 5, "metrics": {}},
        "budget": {"name": "smoke", "minutes": None, "examples": 64},
        "seed": seed,
        "overrides": [],
        "likelihood": "lower_bound",
        "metrics": {"bits_per_dim": bits, "fd_domain": fd},
        "cost": {
            "examples_seen": 64,
            "train_seconds": 1.5,
            "parameters": 10,
            "sample_seconds_per_image": 0.1,
            "peak_memory_mb": 100.0,
        },
        "machine": {"cpu_share": 0.98, "threads": 2, "load": [0.1, 0.9], "gflops": [50.0, 49.0], "starved": None},
        "selected": {"by": "last", "share": 1.0},
        "versions": {"torch": "2"},
        "commit": None,
        "run": f"{model}-{seed}",
        "time": "2026-01-01T00:00:00",
    } | changes
    row.setdefault("line", make_line(model, *row["overrides"]))
    return with_protocol(row)


def make_line(model: str, *overrides: str, sources: str = "0", **settings: Any) -> dict[str, Any]:
    """The identity of a line. settings: dotted names, with `__` for the dot. sources: what the model's code is."""
    named = {name.replace("__", "."): value for name, value in settings.items()}
    named |= {f"model.{text.partition('=')[0]}": text.partition("=")[2] for text in overrides}
    line = {"settings": {"model._target_": model, **named}, "sources": {f"genarena.models.{model}": sources}}
    return {"id": _hash(line), **line}


def make_record(value: float | None, half_width: float | None = None, **facts: Any) -> dict[str, Any]:
    """A record of a metric of a task."""
    return {"title": "", "value": value, "n": 64, "ci95_half_width": half_width} | facts


def make_task_row(
    model: str, lines: dict[str, Any], floors: dict[str, Any], case: str = "denoise_0.1", seed: int = 0, **changes: Any
) -> dict[str, Any]:
    """The row of a task. lines, floors: name -> records by metric. changes: of the entry `task`."""
    rules = {"id": f"p-{case}", "table": "restoration", "case": case}
    algorithm = {"name": "mmps", "exactness": "heuristic", "paper": "", "options": {}, "facts": {}}
    task = {
        "name": "denoise",
        "title": f"Denoising: {case}",
        "case": case,
        "weights": "0",
        "protocol": rules,
        "algorithm": algorithm,
        "lines": {name: {"paper": "", "metrics": metrics} for name, metrics in lines.items()},
        "floors": {name: {"paper": "", "metrics": metrics} for name, metrics in floors.items()},
        "pictures": {"restored.png": {"rows": ["original", "observed", "mmps"]}},
    }
    return make_row(model, seed, metrics={}, evaluation=f"restoration-{case}", task=task | changes)


def with_protocol(row: dict[str, Any], sample_seed: int | None = None, **settings: Any) -> dict[str, Any]:
    """The row, with the protocol of each of its metrics; `settings` are of all; a metric that has one keeps it."""
    protocol = row["protocol"]
    seed = protocol.get("sample_seed", 0) if sample_seed is None else sample_seed
    known = {} if settings else protocol["metrics"]
    rules = {name: known.get(name) or make_protocol(name, **settings) for name in row["metrics"]}
    metrics = {name: {**record, "protocol": rules[name]["id"]} for name, record in row["metrics"].items()}
    return row | {"metrics": metrics, "protocol": protocol | {"sample_seed": seed, "metrics": rules}}


def make_protocol(metric: str, **settings: Any) -> dict[str, Any]:
    rules = {"metric": metric, "split": "test", "settings": settings}
    return {"id": _hash(rules), **rules}


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


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
