"""One task on one finished run: opened, checked, solved, scored; then its row and its pictures are written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.build import build
from genarena.errors import UserError
from genarena.evaluation.pictures import save_samples
from genarena.evaluation.rescoring import load_data
from genarena.files.atomic import replace_atomically
from genarena.models.base import GenerativeModel
from genarena.runs import evaluations, provenance, results, seals
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.statistics import image_quality
from genarena.tasks import restoring, total_variation
from genarena.tasks.base import Algorithm, Task
from genarena.tasks.restoring import Images, Restored

COLUMNS = 10  # images of a picture


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
    algorithm = _checked(name, task, model)
    sha256 = seals.digest(folder.chosen)
    seals.check(sha256, folder.chosen)
    test, val = restoring.splits(task, load_data(run, root))
    made = {method.name: restoring.with_classical(task, method, test, val) for method in task.classical}
    try:
        made[algorithm.name] = restoring.with_model(task, algorithm, model, test, val)
    except ValueError as error:
        raise UserError(str(error)) from error
    facts = {"name": name, "title": task.title, "weights": sha256}
    return _row(row, facts, task, algorithm, made, test.x), _pictures(test, made)


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


def _checked(name: str, task: Task, model: GenerativeModel) -> Algorithm:
    """The algorithm. Raises UserError if the task cannot be done with this model."""
    spec = model.spec
    if not (spec.is_image and spec.is_discrete):
        raise UserError(f"task={name}: needs images of integer levels, and the data of this run has shape {spec.shape}")
    try:
        return task.algorithm_for(model, getattr(task, "algorithm", None))
    except ValueError as error:
        raise UserError(f"task={name}: {error}") from error


def _row(
    row: dict[str, Any], facts: dict[str, Any], task: Task, algorithm: Algorithm, made: dict[str, Restored], x: Tensor
) -> dict[str, Any]:
    rules = _rules(facts["name"], task, x)
    metrics = {name: restoring.scores(restored, x) for name, restored in made.items()}
    values = {name: restoring.values(restored, x) for name, restored in made.items()}
    for key, record in metrics[algorithm.name].items():
        record["margin"] = restoring.margin(
            values[algorithm.name][key], {m.name: values[m.name][key] for m in task.classical}
        )
    classical = {method.name: {"paper": method.paper, "metrics": metrics[method.name]} for method in task.classical}
    of_model = {"name": algorithm.name, "exactness": algorithm.exactness, "nfe": algorithm.nfe}
    facts = facts | {"algorithm": of_model, "classical": classical, "shown": ["original", *made]}
    return row | {
        "metrics": metrics[algorithm.name],
        "protocol": rules,
        "data": row["data"] | {"split": f"test, {len(x):,} images"},
        "evaluation": f"{facts['name']}-{_digest([rules, algorithm.name])}",
        "evaluated": provenance.environment(),
        "task": facts,
    }


def _rules(name: str, task: Task, x: Tensor) -> dict[str, Any]:
    """All that the numbers of a method depend on, but for the method itself, and an id of it."""
    settings = {key: value for key, value in asdict(task).items() if key != "algorithm"}
    rules = {
        "task": name,
        "settings": settings,
        "classical": {
            method.name: [list(method.strengths(sigma)) for sigma in task.sigma] for method in task.classical
        },
        "total_variation": [total_variation.STEP, total_variation.NUM_STEPS],
        "ssim": [image_quality.window_of(*x.shape[-2:]), image_quality.STD, *image_quality.K],
        "quantiser": "clamped, 8 bit",
    }
    rules = json.loads(json.dumps(rules))  # tuples to lists, as a row has them
    return {"id": _digest(rules), **rules}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def _pictures(test: Images, made: Mapping[str, Restored]) -> dict[str, Tensor]:
    """A row of images per method, the originals above, for each sigma: uint8 (rows * COLUMNS, C, H, W)."""
    num = min(COLUMNS, len(test.x))
    pictures = {}
    for sigma in next(iter(made.values())).images:
        rows = torch.stack([test.x[:num], *(restored.images[sigma][:num] for restored in made.values())])
        pictures[f"sigma-{sigma:g}.png"] = (rows.flatten(0, 1) * 255).round().to(torch.uint8)
    return pictures
