"""`<run folder>/evaluations/<name>/result.json`: rows of the same weights under another sampler, a line of their own; or of a
task, such as denoising (`row["task"]`).

They are sealed as the row of the run is. `evaluations/*.json` beside them are other things: further metrics of the run's own
line, or its samples under other seeds. No torch here.
"""

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


def check_weights(row: dict[str, Any], path: Path) -> None:
    """Raise UserError if the run in whose folder the row at `path` lies is another one, or has other weights by now."""
    run = results.read_row(path.parents[2] / "result.json")
    weights, task = seals.digests(path.parents[2] / WEIGHTS), row.get("task")
    program = "task" if task else "evaluate"
    same = [(each.get("run"), each.get("weights"), each.get("cost", {}).get("examples_seen")) for each in (run, row)]
    if same[0] != same[1] or (task and weights and task["weights"] not in weights):
        raise UserError(
            f"{path} is about other weights than those of its run: score it again with scripts/{program}.py"
        )
