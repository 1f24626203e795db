"""One task on one finished run: opened, checked, solved, scored; then its rows and its pictures are written, one per case."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from genarena.build import build
from genarena.errors import UserError
from genarena.evaluation.pictures import save_frames, save_samples
from genarena.evaluation.rescoring import load_data
from genarena.files.atomic import replace_atomically
from genarena.runs import evaluations, provenance, results, seals
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Algorithm, Line, Outcome, Task


@dataclass(frozen=True)
class Solved:
    """The row of one case, and its pictures by file name."""

    row: dict[str, Any]
    pictures: Mapping[str, Tensor]


def solve(run: str | Path, node: Mapping[str, Any], root: str | None = None, device: str = "cpu") -> Iterator[Solved]:
    """The task on a run, case by case. Nothing is written.

    node: a class of `genarena.tasks` and its options, as `choosing.chosen` gives it. root: see `load_data`.
    Raises UserError for a run that failed, data that are no images of levels, a model that lacks the capability, or options
    that do not fit; Untrusted for damaged weights.
    """
    name = node["_target_"].split(".")[-2]
    task: Task = build(dict(node), f"task={name}")
    folder = RunFolder.open(run)
    row = results.read_row(folder.result)
    if row["status"] != "ok":
        raise UserError(f"run={run}: failed ({row.get('error', 'no reason given')}), and has no model to use")
    model = folder.rebuild(device)[1]
    try:
        task.check(model.spec)
        algorithm = task.algorithm_for(model)
        sha256 = seals.digest(folder.chosen)
        seals.check(sha256, folder.chosen)
        data = load_data(run, root)
        for case in task.cases(model.spec):
            outcome = task.solve(model, algorithm, data, case)
            facts = {"name": name, "title": title(task, case), "case": case, "weights": sha256}
            yield Solved(_row(row, facts, rules(task, case, model.spec), algorithm, outcome), outcome.pictures)
    except ValueError as error:
        raise UserError(f"task={name}: {error}") from error


def title(task: Task, case: str) -> str:
    """Of a table."""
    return f"{task.title}: {case}" if case else task.title


def write(solved: Solved, folder: Path) -> Path:
    """Write the pictures, then the sealed row, into `folder`. Returns the path of the row."""
    for name, images in solved.pictures.items():
        spec = DataSpec(tuple(images.shape[-3:]), 256)
        save = save_frames if name.endswith(".gif") else save_samples
        replace_atomically(folder / name, lambda path, x=images, spec=spec, save=save: save(x, spec, path, COLUMNS))
    results.write_row(dict(solved.row), folder / "result.json")
    return folder / "result.json"


def place_of(run: str | Path, row: Mapping[str, Any]) -> Path:
    """The folder in the run where the row belongs."""
    return Path(run, evaluations.FOLDER, row["evaluation"])


def _row(
    row: dict[str, Any], facts: dict[str, Any], rules: dict[str, Any], algorithm: Algorithm, outcome: Outcome
) -> dict[str, Any]:
    of_model = {"name": algorithm.name, "exactness": algorithm.exactness, "paper": algorithm.paper}
    of_model |= {"options": json.loads(json.dumps(algorithm.options())), "facts": dict(outcome.facts)}
    facts = facts | {
        "protocol": rules,
        "algorithm": of_model,
        "lines": {name: _written(line) for name, line in outcome.lines.items()},
        "floors": {name: _written(line) for name, line in outcome.floors.items()},
        "shown": list(outcome.shown),
    }
    parts = [
        each
        for each in (rules["table"], facts["case"], _digest([rules, of_model["name"], of_model["options"]]))
        if each
    ]
    return row | {
        "metrics": {},
        "protocol": row["protocol"] | {"metrics": {}},
        "data": row["data"] | {"split": f"test, {outcome.num_examples:,} examples"},
        "evaluation": "-".join(parts),
        "evaluated": provenance.environment(),
        "task": facts,
    }


def _written(line: Line) -> dict[str, Any]:
    return {"paper": line.paper, "metrics": {name: dict(record) for name, record in line.metrics.items()}}


def rules(task: Task, case: str, spec: DataSpec) -> dict[str, Any]:
    """All that the numbers of a case depend on, but for the algorithm, and an id of it."""
    found = {"table": task.table, "case": case, "settings": task.settings(case), **task.constants(spec, case)}
    found = json.loads(json.dumps(found))  # tuples to lists
    return {"id": _digest(found), **found}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
