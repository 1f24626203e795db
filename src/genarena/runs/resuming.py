"""Resuming a run: which options must equal those of the stored run, and how the budget may change.

Before and after resuming, budget and data are the same in the stored configuration, the row and the newest checkpoint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genarena.errors import Untrusted, UserError
from genarena.runs import checkpoint, status, stored_config
from genarena.runs.folder import RunFolder
from genarena.runs.past import LEFT_OUT

# Options for the location and the reading of a data set. They may differ, because the data id is compared instead.
READING = ("root", "num_val", "mirror", "decode", "num_workers", "timeout")
LIMITS = ("minutes", "examples", "flops")  # the limits of a budget


@dataclass(frozen=True)
class Continuation:
    """How a run is resumed.

    checkpoint: the newest checkpoint; None: none was saved yet, and training starts from scratch.
    extended: earlier limits of the budget, the oldest first, each with `examples_seen` at the time of the change.
    changed: whether the budget differs from the budget in the stored configuration and row.
    """

    checkpoint: Path | None
    extended: list[dict[str, Any]]
    changed: bool


def go_on(
    folder: RunFolder, resolved: dict[str, Any], data_id: str, flops_per_example: Callable[[], float]
) -> Continuation:
    """Compare a stored run with the configuration that resumes it. Writes neither row nor configuration.

    resolved: the composed configuration of this command line. data_id: the id of the present data. flops_per_example: counts
    the FLOPs of training, for a run that gets a limit of them and has not counted any.
    Raises UserError if model, data, seed or (for a finished run) evaluation differ, or if the new budget is smaller than what
    the run has already used. Raises Untrusted if the checkpoints are damaged or missing.
    """
    stored = stored_config.load(folder.config)
    _refuse_another(stored, resolved, folder.path)
    _refuse_other_data(stored, data_id, folder.path)
    newest = _newest(folder)
    limits = {name: resolved["budget"][name] for name in LIMITS}
    extended = _extended(newest, limits, folder.path, flops_per_example) if newest else []
    budget = stored.get("budget") if isinstance(stored.get("budget"), dict) else {}
    said = {name: budget.get(name) for name in LIMITS}, stored.get("extended") or []
    changed = newest is not None and said != (limits, extended)
    if folder.finished and not changed:
        _refuse_other_evaluation(stored, resolved, folder.path)
    return Continuation(newest, extended, changed)


def _extended(
    path: Path, limits: dict[str, Any], run: Path, flops_per_example: Callable[[], float]
) -> list[dict[str, Any]]:
    """The limits of a checkpoint's budget before the present `limits`, the oldest first.

    Raises UserError if a new limit is smaller than what the run has already used. Raises Untrusted if the checkpoint does not
    tell.
    """
    try:
        callbacks = checkpoint.load(path)["callbacks"]
        stored, budget = callbacks["Limits"], callbacks["Budget"]
        former = {name: stored[name] for name in LIMITS}
        extended = [{name: entry[name] for name in (*LIMITS, "examples_seen")} for entry in stored["extended"]]
        seen = {"examples": budget["examples_seen"], "minutes": budget["seconds"] / 60.0}
        each = budget["flops_per_example"]
    except (KeyError, TypeError) as error:
        raise Untrusted(f"{path} does not say how much was seen, and of which budget") from error
    if limits["flops"] is not None:
        seen["flops"] = seen["examples"] * (flops_per_example() if each is None else each)
    for name, limit in limits.items():  # an unchanged limit may be exceeded by less than one batch
        if limit is not None and limit != former[name] and seen[name] > limit:
            raise UserError(
                f"resume={run}: {shown({name: limit})} is less than the {seen[name]:,.6g} {name} that the run has seen, of "
                f"{shown(former)}; a shorter run is a new one"
            )
    return extended if former == limits else [*extended, {**former, "examples_seen": seen["examples"]}]


def shown(limits: dict[str, Any]) -> str:
    """The limits of a budget in the form of command-line options."""
    return " ".join(f"budget.{name}={_written(limits[name])}" for name in LIMITS if limits.get(name) is not None)


def _written(limit: float) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _newest(folder: RunFolder) -> Path | None:
    newest = checkpoint.newest_sound(folder.last, folder.previous, folder.best)
    if newest is None and (status.read(folder.path) or {}).get("checkpoint"):
        raise Untrusted(f"{folder.checkpoints}: the run had written checkpoints, and they are gone")
    return newest


def _refuse_another(stored: dict[str, Any], resolved: dict[str, Any], path: Path) -> None:
    """Raise UserError if model, data set or seed differ. Budget or logger may differ."""
    for key in ("seed", "model", "data"):
        there, here = stored.get(key), resolved[key]
        if isinstance(there, dict):
            there, here = ({k: v for k, v in node.items() if k not in READING} for node in (there, here))
            if key == "model" and there != here and {**there, "sampler": here.get("sampler")} == here:
                raise UserError(
                    f"resume={path}: that run draws samples with another sampler; to score it with this one: "
                    f"python scripts/evaluate.py run={path} sampler=<name>"
                )
        if there != here:
            raise UserError(f"resume={path}: that run was started with another {key}: {_difference(there, here)}")


def _difference(there: Any, here: Any) -> str:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted({*there, *here}):
            if there.get(key) != here.get(key):
                return f"{key} {_difference(there.get(key), here.get(key))}"
    return f"was {there}, is {here}"


def _refuse_other_data(stored: dict[str, Any], data_id: str, path: Path) -> None:
    trained = stored.get("data_id")
    if trained is None:
        raise UserError(f"resume={path}: its config.yaml does not say which data it was trained on (data_id)")
    if trained != data_id:
        raise UserError(f"resume={path}: the data is {data_id} here, and the run was trained on {trained}")


def _refuse_other_evaluation(stored: dict[str, Any], resolved: dict[str, Any], path: Path) -> None:
    """Raise UserError if metrics or evaluation differ. The row of a finished run keeps its metrics."""
    for part in ("metrics", "evidence", "metric", "evaluation"):
        there, here = (_own(cfg.get(part), LEFT_OUT.get(part, ())) for cfg in (stored, resolved))
        if there != here:
            wanted = f" metrics=[{','.join(resolved['metrics'])}]" if part == "metrics" else ""
            raise UserError(
                f"resume={path}: that run is finished, and {part} differs ({_difference(there, here)}): to score it "
                f"again, python scripts/evaluate.py run={path}{wanted}"
            )


def _own(value: Any, left_out: tuple[str, ...]) -> Any:
    return {k: v for k, v in value.items() if k not in left_out} if isinstance(value, dict) else value
