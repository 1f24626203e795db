"""`<run folder>/evaluations/`: rows of the same weights, scored again. No torch here.

`<name>.json` or `<name>/result.json`, sealed as the row of the run is: further metrics of the run's own line, or its samples
under other seeds; the weights under another sampler, which is a line of its own (`row["evaluation"]`), with further metrics of
that line. `<name>/result.json` may also be the row of a task, such as denoising (`row["task"]`).
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genarena.errors import UserError
from genarena.runs import results, seals

FOLDER = "evaluations"
WEIGHTS = "checkpoints/chosen.ckpt"  # of the run


def folder_of(run: Path, sampler: str, variant: Sequence[str]) -> Path:
    """Its folder, named after the sampler and the options in which it differs from the sampler's file."""
    options = [text.removeprefix("sampler.").replace("=", "") for text in variant if text.startswith("sampler.")]
    return run / FOLDER / re.sub(r"[^A-Za-z0-9._-]", "-", "-".join([sampler, *options]))


def row_of(row: dict[str, Any], variant: Sequence[str], name: str, measured: dict[str, Any]) -> dict[str, Any]:
    """The row of the run with another sampler in its identity, and what was measured with it."""
    kept = [text for text in row["overrides"] if not text.startswith(("sampler=", "sampler."))]
    return row | measured | {"overrides": [*kept, *variant], "evaluation": name}


def is_evaluation(path: Path) -> bool:
    """Whether a `result.json` is one of these rows."""
    return path.parent.parent.name == FOLDER


def paths_of(run: Path) -> list[Path]:
    """The files of these rows; first those that an evaluation without `out` writes, in folders."""
    return [*sorted((run / FOLDER).glob("*/result.json")), *sorted((run / FOLDER).glob("*.json"))]


def check_place(run: Path, out: Path) -> None:
    """Raise UserError if a row at `out` would lie in the folder of the run where nobody looks for it."""
    place = Path(os.path.abspath(out))
    if not place.is_relative_to(home := Path(os.path.abspath(run))):
        return
    first, *names = place.relative_to(home).parts or ("",)
    found = (len(names) == 1 and place.suffix == ".json") or (len(names) == 2 and names[1] == "result.json")
    if first != FOLDER or not found:
        raise UserError(
            f"out={out}: in the folder of the run the page finds {FOLDER}/<name>.json or {FOLDER}/<name>/result.json"
        )


def check_weights(row: dict[str, Any], path: Path, folder: Path) -> None:
    """Raise UserError if the run in whose folder the row at `path` lies is another one, or has other weights by now."""
    run = results.read_row(folder / "result.json")
    if row.get("run") != run.get("run"):
        raise UserError(f"{path} is not an evaluation of this run but of {row.get('run')}")
    weights, task = seals.digests(folder / WEIGHTS), row.get("task")
    program = "task" if task else "evaluate"
    same = [(each.get("weights"), each.get("cost", {}).get("examples_seen")) for each in (run, row)]
    if same[0] != same[1] or (task and weights and task["weights"] not in weights):
        raise UserError(
            f"{path} is about other weights than those of its run: score it again with scripts/{program}.py"
        )
