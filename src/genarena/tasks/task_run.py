"""One task on one finished run: opened, checked, solved, scored; then its row and its pictures are written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from genarena.build import build
from genarena.errors import UserError
from genarena.evaluation.pictures import save_samples
from genarena.evaluation.rescoring import load_data
from genarena.files.atomic import replace_atomically
from genarena.runs import evaluations, provenance, results, seals
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Algorithm, Outcome, Task


def solve(run: str | Path, node: Mapping[str, Any], root: str | None = None, device: str = "cpu") -> tuple[dict, dict]:
    """The row of a task on a run, and its pictures by file name. Nothing is written.

    node: a class of `genarena.tasks` and its options, as `choosing.chosen` gives it. root: see `load_data`.
    Raises UserError for a run that failed, data that are no images of levels, a model that lacks the capability, or options
    that do not fit; Untrusted for damaged weights.
    """
    folder, name = RunFolder.open(run), node["_target_"].split(".")[-2]
    row = results.read_row(folder.result)
    if row["status"] != "ok":
        raise UserError(f"run={run}: failed ({row.get('error', 'no reason given')}), and has no model to use")
    task: Task = build(dict(node), "task")
    model = folder.rebuild(device)[1]
    try:
        task.check(model.spec)
        algorithm = task.algorithm_for(model)
        sha256 = seals.digest(folder.chosen)
        seals.check(sha256, folder.chosen)
        outcome = task.solve(model, algorithm, load_data(run, root))
    except ValueError as error:
        raise UserError(f"task={name}: {error}") from error
    facts = {"name": name, "title": task.title, "weights": sha256}
    return _row(row, facts, _rules(name, task, model.spec), algorithm, outcome), dict(outcome.pictures)


def write(row: Mapping[str, Any], pictures: Mapping[str, Tensor], folder: Path) -> Path:
    """Write the pictures, then the sealed row, into `folder`. Returns the path of the row."""
    for name, images in pictures.items():
        spec = DataSpec(tuple(images.shape[1:]), 256)
        replace_atomically(folder / name, lambda path, x=images, spec=spec: save_samples(x, spec, path, COLUMNS))
    results.write_row(dict(row), folder / "result.json")
    return folder / "result.json"


def place_of(run: str | Path, row: Mapping[str, Any]) -> Path:
    """The folder in the run where the row belongs."""
    return Path(run, evaluations.FOLDER, row["evaluation"])


def _row(
    row: dict[str, Any], facts: dict[str, Any], rules: dict[str, Any], algorithm: Algorithm, outcome: Outcome
) -> dict[str, Any]:
    of_model = {"name": algorithm.name, "exactness": algorithm.exactness, "nfe": algorithm.nfe}
    facts = facts | {
        "protocol": rules,
        "algorithm": of_model,
        "classical": dict(outcome.classical),
        "shown": list(outcome.shown),
    }
    return row | {
        "metrics": dict(outcome.metrics),
        "protocol": row["protocol"] | {"metrics": {}},
        "data": row["data"] | {"split": f"test, {outcome.num_examples:,} examples"},
        "evaluation": f"{facts['name']}-{_digest([rules, algorithm.name])}",
        "evaluated": provenance.environment(),
        "task": facts,
    }


def _rules(name: str, task: Task, spec: DataSpec) -> dict[str, Any]:
    """All that the numbers of a method depend on, but for the method itself, and an id of it."""
    settings = {key: value for key, value in asdict(task).items() if key != "algorithm"}
    rules = json.loads(json.dumps({"task": name, "settings": settings, **task.constants(spec)}))  # tuples to lists
    return {"id": _digest(rules), **rules}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
