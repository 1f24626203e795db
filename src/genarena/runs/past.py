"""Finds the stored run of a configuration, and waits until its folder is free. Imports no torch."""

import hashlib
import json
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from genarena.errors import FolderInUse, Untrusted, UserError
from genarena.runs import classes, first_stage, results, stored_config
from genarena.runs.lock import locked
from genarena.runs.same_data import is_same

# Runs with equal values of these are the same experiment. `extended`: earlier budgets of a run whose budget was changed.
SETTING = ("model", "data", "budget", "evaluation", "evidence", "metrics", "metric", "seed", "extended")
EXACTLY = (*SETTING, "callbacks", "trainer")  # equal values of these: the same job, trained in the same way
LEFT_OUT = {  # options that change no result: paths, and what is displayed
    "data": ("mirror", "num_workers", "timeout"),  # `root` is not left out: another folder may contain other images
    "evaluation": ("features",),  # paths, which differ between machines
    "callbacks": ("progress", "grid_size"),
}


def pinned(cfg: dict[str, Any], parts: tuple[str, ...] = SETTING) -> dict[str, Any]:
    """The parts of a resolved configuration that must be equal for two runs to be the same."""
    own = {
        part: {key: value for key, value in cfg[part].items() if key not in names} for part, names in LEFT_OUT.items()
    }
    if first_stage.OPTION in (model := cfg.get("model") or {}):  # the weights that it stands on, wherever they lie
        own["model"] = model | {first_stage.OPTION: first_stage.identity(model[first_stage.OPTION])}
    return {part: _without_null(own.get(part, cfg.get(part))) for part in parts}


def _without_null(node: Any) -> Any:
    """The node without conditions that are null, at any depth: runs of earlier versions do not name them. Also without the
    number of classes of conditional models and the words of captions, which follow from the data."""
    if not isinstance(node, dict):
        return node
    if isinstance(given := node.get("condition"), dict) and given.get("kind") in classes.TEXTS:
        node = node | {"condition": given["kind"]}
    absent = ("condition", "num_attributes") if node.get("condition") is None else ()
    absent = ("num_classes",) if node.get("condition") == "label" else absent
    return {key: _without_null(value) for key, value in node.items() if key not in absent}


def fingerprint(cfg: dict[str, Any]) -> str:
    """A hash of eight hexadecimal digits, equal for configurations of the same job."""
    return hashlib.sha256(json.dumps(pinned(cfg, EXACTLY), sort_keys=True, default=str).encode()).hexdigest()[:8]


def find_run(cfg: dict[str, Any], parts: tuple[str, ...] = SETTING) -> Path | None:
    """The newest finished run folder with this setting and data in `runs_dir`, else the newest unfinished one.

    A folder is skipped if its `config.yaml` cannot be read; a warning is printed once.
    """
    found = []
    for path in Path(cfg["runs_dir"]).glob(f"{cfg['choices']['data']}/{cfg['choices']['model']}/*/config.yaml"):
        try:
            changed = path.stat().st_mtime_ns
        except OSError:  # a broken link, or removed meanwhile
            continue
        stored = _load(path, changed)
        same = all(isinstance(stored.get(part), dict) for part in LEFT_OUT) and pinned(stored, parts) == pinned(
            cfg, parts
        )
        if same and is_same(stored, cfg["data"]):
            found.append((results.is_finished(path.parent / "result.json"), changed, path.parent))
    return max(found)[2] if found else None


@lru_cache(4096)
def _load(path: Path, changed: int) -> dict[str, Any]:
    """The stored configuration; {} if it cannot be read. changed: the file's modification time, part of the cache key."""
    try:
        return stored_config.load(path)
    except (UserError, Untrusted) as error:
        print(f"warning: passed over: {error}", file=sys.stderr, flush=True)
        return {}


def wait_until_free(folder: Path, seconds: float) -> bool:
    """Wait at most `seconds` until no other process holds the run folder. Returns False if one still does."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with locked(folder):
                return True
        except FolderInUse:
            if time.monotonic() > deadline:
                return False
        time.sleep(0.2)
