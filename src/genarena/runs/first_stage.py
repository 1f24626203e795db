"""The finished run that a model stands on, `model.first_stage=<run folder>`: only read, checked, described. No torch here.

The configuration then holds the first model itself in place of the folder, so that the second run needs the first folder no
more: its weights are among those of the second run.
"""

from pathlib import Path
from typing import Any

from genarena.errors import ArenaError, Untrusted, UserError
from genarena.files import foreign
from genarena.runs import results, seals, stored_config

OPTION = "first_stage"  # of a model; also the part of a configuration and of a row that says where it comes from
TARGET = "genarena.models.first_stage.FirstStage"
COSTS = ("examples_seen", "train_seconds", "train_flops")
SAME = ("shape", "num_levels")  # of the two data specs
CONFIG, RESULT, WEIGHTS = "config.yaml", "result.json", Path("checkpoints", "chosen.ckpt")


def named(cfg: dict[str, Any]) -> str | None:
    """The folder that a composed configuration names; None if its model stands on none, or it was looked up already."""
    value = cfg["model"].get(OPTION)
    return value if isinstance(value, str) else None


def resolved(cfg: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the first model in place of its folder, and with `first_stage`: where it is and what it cost.

    A run that is resumed, and has a checkpoint, does not need the folder. Raises UserError, with the name of the option, for a
    folder without a finished run or with a run of other data; Untrusted if its files are damaged.
    """
    path = named(cfg)
    if path is None:
        return cfg
    try:
        if cfg.get("resume") and not Path(path).exists():
            node, facts = _stored(Path(cfg["resume"]))
        else:
            node, facts = _opened(Path(path), cfg["model"]["spec"])
    except (ArenaError, OSError) as error:
        kind = type(error) if isinstance(error, UserError | Untrusted) else UserError
        raise kind(f"model.{OPTION}={path}: {error}") from error
    return cfg | {"model": cfg["model"] | {OPTION: node}, OPTION: facts}


def identity(value: Any) -> Any:
    """What tells whether two configurations stand on the same weights: their sha256, for a folder as for a looked-up model."""
    if isinstance(value, dict):
        return value.get("sha256")
    found = seals.digests(Path(value) / WEIGHTS) if isinstance(value, str) else None
    return found[0] if found else value


def _opened(path: Path, spec: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The node of the model and the facts about the run in a folder."""
    if not (path / CONFIG).is_file():
        raise UserError("there is no run (no config.yaml) in that folder")
    foreign.check_folder(path)
    row = results.read_row(path / RESULT)
    if row["status"] != "ok":
        raise UserError(f"that run has no result: {row['status']}, {row.get('error', 'no reason given')}")
    cfg = stored_config.load(path / CONFIG)
    try:
        sha256 = seals.digest(path / WEIGHTS)
    except OSError as error:
        raise Untrusted(f"{path / WEIGHTS} cannot be read: {error.strerror}") from error
    seals.check(sha256, path / WEIGHTS)
    own = cfg["model"].get("spec") or {}
    for key in SAME:
        if own.get(key) != spec.get(key):
            raise UserError(f"that run is of other data: {key} was {own.get(key)}, is {spec.get(key)}")
    name, data_id = cfg["choices"].get("model"), cfg.get("data_id")
    if not isinstance(data_id, str):
        raise UserError("its config.yaml does not say which data it was trained on (data_id)")
    node = {
        "_target_": TARGET,
        "model": cfg["model"],
        "name": str(name),
        "run": path.resolve().name,
        "sha256": sha256,
        "data_id": data_id,
    }
    facts = {"path": str(path), "run": node["run"], "model": row["model"], "sha256": sha256, "seed": row["seed"]}
    return node, facts | {"line": _line(row), "line_id": row["line"]["id"], "cost": _cost(row["cost"])}


def _stored(run: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same, as the run that is resumed stored it."""
    cfg = stored_config.load(run / CONFIG)
    node, facts = cfg["model"].get(OPTION), cfg.get(OPTION)
    if not isinstance(node, dict) or not isinstance(facts, dict) or not any((run / "checkpoints").glob("*.ckpt")):
        raise UserError("there is no such folder, and the run that goes on has no checkpoint with its weights")
    return node, facts | {"path": None}


def _line(row: dict[str, Any]) -> str:
    """Model, options and budget of the first run, as the name of the pair shows them."""
    budget = row["budget"]
    limits = [f"{budget[name]:,g} {name}" for name in ("minutes", "examples", "flops") if budget.get(name)]
    return f"{' '.join((row['model'], *row.get('overrides', ())))} ({', '.join(limits)})"


def _cost(cost: dict[str, Any]) -> dict[str, Any]:
    """What the first run cost, with what it stood on itself."""
    before = cost.get(OPTION) or {}
    pairs = {key: (cost.get(key), before.get(key, 0)) for key in COSTS}
    return {key: None if None in pair else sum(pair) for key, pair in pairs.items()}
