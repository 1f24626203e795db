"""Finds the run of a configuration among those on disk, and waits for its folder to be free. No torch here."""

import hashlib
import json
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from genarena.errors import FolderInUse, Untrusted, UserError
from genarena.runs import results, stored_config
from genarena.runs.lock import locked
from genarena.runs.same_data import is_same

# Runs that agree in these are the same experiment. `extended`: the budgets that a run had before its budget was changed.
SETTING = ("model", "data", "budget", "evaluation", "metrics", "seed", "extended")
EXACTLY = (*SETTING, "callbacks", "trainer")  # runs that agree in these are the same job: trained in the same way, too
LEFT_OUT = {  # options that change no number: where files lie, what is shown
    "data": ("mirror", "num_workers", "timeout"),  # not the root: another folder may hold other pictures
    "evaluation": ("features",),  # paths, which differ from machine to machine
    "callbacks": ("progress", "grid_size"),
}


def pinned(cfg: dict[str, Any], parts: tuple[str, ...] = SETTING) -> dict[str, Any]:
    """The parts of a resolved configuration that are compared to tell whether two runs are the same."""
    own = {
        part: {key: value for key, value in cfg[part].items() if key not in names} for part, names in LEFT_OUT.items()
    }
    return {part: own.get(part, cfg.get(part)) for part in parts}


def fingerprint(cfg: dict[str, Any]) -> str:
    """Eight hexadecimal digits; equal for the same job."""
    return hashlib.sha256(json.dumps(pinned(cfg, EXACTLY), sort_keys=True, default=str).encode()).hexdigest()[:8]


def find_run(cfg: dict[str, Any], parts: tuple[str, ...] = SETTING) -> Path | None:
    """The newest run folder of this setting and this data below `runs_dir`, a finished one before an unfinished one.

    A folder whose `config.yaml` cannot be read is none of this setting; it is named on stderr, once.
    """
    found = []
    for path in Path(cfg["runs_dir"]).glob(f"{cfg['choices']['data']}/{cfg['choices']['model']}/*/config.yaml"):
        try:
            changed = path.stat().st_mtime_ns
        except OSError:  # a link to nothing, or just removed
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
    """The stored configuration as it was at the time `changed`; {} where it cannot be read."""
    try:
        return stored_config.load(path)
    except (UserError, Untrusted) as error:
        print(f"warning: passed over: {error}", file=sys.stderr, flush=True)
        return {}


def wait_until_free(folder: Path, seconds: float) -> bool:
    """Wait for a process that holds the run folder, e.g. to write its last checkpoint; False when it still does afterwards."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with locked(folder):
                return True
        except FolderInUse:
            if time.monotonic() > deadline:
                return False
        time.sleep(0.2)
