"""One task on one finished run: opened, checked, solved, scored; then its rows and its pictures are written, one per case."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from genarena.build import build
from genarena.errors import ArenaError, UserError
from genarena.evaluation.pictures import save_frames, save_samples
from genarena.evaluation.rescoring import load_data
from genarena.files.atomic import replace_atomically
from genarena.models.base import GenerativeModel
from genarena.runs import classes, evaluations, provenance, results, seals, stored_config
from genarena.runs.folder import RunFolder, build_model
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS, Algorithm, Line, Outcome, Shown, Task


@dataclass(frozen=True)
class Solved:
    """The row of one case, and its pictures by file name."""

    row: dict[str, Any]
    pictures: Mapping[str, Tensor]


@dataclass(frozen=True)
class Asked:
    """A task on a finished run, checked, before its weights are loaded.

    row: of the run. algorithms: of the cases. left_out: cases that the model cannot do, and why. weights: SHA-256 of the
    evaluated ones.
    """

    name: str
    folder: RunFolder
    row: dict[str, Any]
    task: Task
    algorithms: Mapping[str, Algorithm]
    left_out: Mapping[str, str]
    spec: DataSpec
    weights: str

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(self.algorithms)

    def evaluation(self, case: str) -> str:
        """The name of the folder of a case: its table, and a digest of the rules, the algorithm and its options."""
        found, algorithm = rules(self.task, case, self.spec), self.algorithms[case]
        parts = [found["table"], case, digest([found, algorithm.name, plain(algorithm.options())])]
        return "-".join(filter(None, parts))

    def there(self, case: str, folder: Path) -> Path | None:
        """The row of a case in `folder`, if it is sound and about these weights; else None."""
        path = folder / self.evaluation(case) / "result.json"
        row = results.sound_row(path)
        return path if row and row.get("task", {}).get("weights") == self.weights else None

    def solve(self, cases: Sequence[str], root: str | None = None, device: str = "cpu") -> Iterator[Solved]:
        """Case by case; nothing is written. root: see `load_data`. Raises UserError for options that do not fit, and Untrusted
        for damaged weights."""
        if not cases:
            return
        cfg, model = self.folder.rebuild(device)
        model.untrained = partial(build_model, cfg)
        seals.check(self.weights, self.folder.chosen)
        data = load_data(self.folder.path, root)
        with told(self.name):
            for case in cases:
                outcome = self.task.solve(model, self.algorithms[case], data, case)
                yield Solved(_row(self, case, outcome), outcome.pictures)


def opened(run: str | Path, node: Mapping[str, Any], root: str | None = None) -> Asked:
    """A task on a run.

    node: a class of `genarena.tasks` and its options, as `choosing.chosen` gives it. root: see `load_data`.
    Raises UserError for a run that failed, data that the task is not made for, and a model that lacks the capability: the
    model is built, but its weights are not loaded.
    """
    task = built(node)
    folder, row = finished(run)
    name = name_of(node)
    with folder.bounded():
        cfg = stored_config.load(folder.config)
        with told(name):
            task.examine(cfg["data"])
            _check(task, cfg["data"] | ({"root": root} if root else {}))
        model = folder.untrained(cfg)
    with told(name):
        algorithms, left_out = _algorithms(task, model)
    return Asked(name, folder, row, task, algorithms, left_out, model.spec, seals.digest(folder.chosen))


def _check(task: Task, data: dict[str, Any]) -> None:
    """`Task.check` of the node of a data set; a set whose configuration has no number of classes is asked for it first."""
    spec = build(data["spec"], "data.spec")
    try:
        task.check(spec)
    except ValueError:
        found = _counted(data) if spec.num_classes is None else None
        if found is None:
            raise
        task.check(replace(spec, num_classes=found))


def _counted(data: dict[str, Any]) -> int | None:
    """The number of classes that a data set finds in its files or options; None if there are none, or the files are missing."""
    try:
        return classes.count(data)
    except ArenaError:
        return None


def finished(run: str | Path) -> tuple[RunFolder, dict[str, Any]]:
    """A run and its row. Raises UserError if there is none, it is not finished, or it failed."""
    folder = RunFolder.open(run)
    if not folder.result.is_file():
        raise UserError("the run is not finished: it has no row (result.json)")
    row = results.read_row(folder.result)
    if row["status"] != "ok":
        raise UserError(f"the run failed ({row.get('error', 'no reason given')}), and has no model to use")
    return folder, row


def _algorithms(task: Task, model: GenerativeModel) -> tuple[dict[str, Algorithm], dict[str, str]]:
    """Case to algorithm, and to the reason why there is none. Raises ValueError, with the first reason, if none has one."""
    found, left_out = {}, {}
    for case in task.cases(model.spec):
        try:
            found[case] = task.algorithm_for(model, case)
        except ValueError as error:
            left_out[case] = str(error)
    if not found:
        raise ValueError(next(iter(left_out.values()), "there is nothing to do"))
    return found, left_out


def solve(run: str | Path, node: Mapping[str, Any], root: str | None = None, device: str = "cpu") -> Iterator[Solved]:
    """The task on a run, case by case: `opened`, then `Asked.solve` of all cases."""
    asked = opened(run, node, root)
    return asked.solve(asked.cases, root, device)


def name_of(node: Mapping[str, Any]) -> str:
    """The name of the task of a node: that of its module."""
    return node["_target_"].split(".")[-2]


def built(node: Mapping[str, Any]) -> Task:
    return build(dict(node), f"task={name_of(node)}")


@contextmanager
def told(name: str) -> Iterator[None]:
    """A ValueError of a task becomes a UserError that names the task."""
    try:
        yield
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
        columns = min(COLUMNS, images.shape[-4])
        replace_atomically(folder / name, lambda path, x=images, s=spec, n=columns, save=save: save(x, s, path, n))
    results.write_row(dict(solved.row), folder / "result.json")
    return folder / "result.json"


def place_of(run: str | Path, row: Mapping[str, Any]) -> Path:
    """The folder in the run where the row belongs."""
    return Path(run, evaluations.FOLDER, row["evaluation"])


def _row(asked: Asked, case: str, outcome: Outcome) -> dict[str, Any]:
    row, algorithm = asked.row, asked.algorithms[case]
    of_model = {"name": algorithm.name, "exactness": algorithm.exactness, "paper": algorithm.paper}
    of_model |= {"options": plain(algorithm.options()), "facts": dict(outcome.facts)}
    facts = {
        "name": asked.name,
        "title": title(asked.task, case),
        "case": case,
        "weights": asked.weights,
        "protocol": rules(asked.task, case, asked.spec),
        "algorithm": of_model,
        "lines": {name: _written(line) for name, line in outcome.lines.items()},
        "floors": {name: _written(line) for name, line in outcome.floors.items()},
        "pictures": plain({name: asdict(outcome.shown.get(name, Shown())) for name in outcome.pictures}),
    }
    return row | {
        "metrics": {},
        "protocol": row["protocol"] | {"metrics": {}},
        "data": dict(outcome.data or row["data"]) | {"split": outcome.used},
        "evaluation": asked.evaluation(case),
        "evaluated": provenance.environment(),
        "task": facts,
    }


def _written(line: Line) -> dict[str, Any]:
    about: dict[str, Any] = {"remark": line.remark} if line.remark else {}
    about |= {"is_real": True} if line.is_real else {}
    about |= {"roles": list(line.roles)} if line.roles else {}
    return {"paper": line.paper, **about, "metrics": {name: dict(record) for name, record in line.metrics.items()}}


def rules(task: Task, case: str, spec: DataSpec) -> dict[str, Any]:
    """All that the numbers of a case depend on, but for the algorithm, and an id of it."""
    found = {"table": task.table, "case": case, "settings": task.settings(case), **task.constants(spec, case)}
    found = plain(found)
    return {"id": digest(found), **found}


def plain(content: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(content))


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
