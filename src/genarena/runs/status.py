"""`status.json`: the state, progress and heartbeat of a run, written atomically by a thread. Imports no torch."""

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from genarena.errors import ArenaError, Untrusted
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.runs import interruption

FILE = "status.json"
SIZE = 100_000  # bytes that the file may have
EVERY = 5.0  # seconds between two heartbeats
DEAD = 60.0  # seconds without a heartbeat after which a run on another machine counts as dead
RUNNING = ("starting", "training", "evaluating")
ENDS = ("finished", "diverged", "interrupted", "failed")


class Status:
    """The state of this process's run, written every few seconds while the `with` block runs.

    `facts` (progress, examples_seen, checkpoint) may be changed at any time and are written with the next heartbeat. If
    `limit` is set and `moved` is not called for so many seconds, the process is ended with exit code 1. Then its loader
    workers or other ranks are dead or stopped, and waiting for them would never end.
    """

    def __init__(self, folder: Path | None, on_hang: Any = None) -> None:
        """folder: None for ranks other than 0, which write nothing. on_hang: called with a TimeoutError before the end."""
        self.path = folder / FILE if folder else None
        self.facts: dict[str, Any] = {
            "state": "starting",
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": _now(),
            "progress": 0.0,
            "examples_seen": 0,
        }
        before = read(folder) if folder else None
        self.facts["checkpoint"] = (before or {}).get("checkpoint", 0)  # examples seen at the newest checkpoint
        self.limit: float | None = None
        self._moved, self._on_hang = time.monotonic(), on_hang
        self._lock, self._stop = threading.Lock(), threading.Event()

    def __enter__(self) -> "Status":
        self.write()
        self._thread = threading.Thread(target=self._beat, daemon=True, name="status")
        self._thread.start()
        interruption.at_the_end(self._cut_off)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        interruption.forget(self._cut_off)
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError, ArenaError) if error else contextlib.nullcontext():  # the disk may be full
            self.write(state=end_of(error), **({"error": str(error).split("\n")[0]} if error else {}))

    def write(self, **facts: Any) -> None:
        """Change `facts` and write them at once."""
        with self._lock:
            self.facts |= facts
            if self.path is not None:
                text = json.dumps({**self.facts, "heartbeat": _now()}, indent=2)
                replace_atomically(self.path, lambda temporary: temporary.write_text(text + "\n"))

    def moved(self) -> None:
        """Note progress: the time for `limit` starts again."""
        self._moved = time.monotonic()

    def watch(self, limit: float | None) -> None:
        """Set the limit in seconds; None: no limit."""
        self.moved()
        self.limit = limit

    def _beat(self) -> None:
        while not self._stop.wait(min(EVERY, self.limit / 4) if self.limit else EVERY):
            with contextlib.suppress(OSError, ArenaError):  # the disk may be full; other writes report that
                self.write()
            limit = self.limit
            if limit and time.monotonic() - self._moved > limit:
                self._hang(limit)

    def _hang(self, limit: float) -> None:
        reason = (
            f"nothing was done for {limit:g} s (trainer.timeout): a loader worker or another rank is dead or stopped, "
            "or a step takes longer than that"
        )
        with contextlib.suppress(Exception):
            if self._on_hang:
                self._on_hang(TimeoutError(reason))
        for child in psutil.Process().children(recursive=True):  # a stopped worker would never end
            with contextlib.suppress(psutil.Error):
                child.kill()
        interruption.leave(1, reason)

    def _cut_off(self, reason: str) -> None:
        with contextlib.suppress(OSError, ArenaError):
            self.facts |= {"state": "interrupted" if reason.startswith("interrupted") else "failed", "error": reason}
            if self._lock.acquire(timeout=1.0):
                self._lock.release()
                self.write()


def end_of(error: BaseException | None) -> str:
    """The final state of a run that ends with `error`."""
    if error is None:
        return "finished"
    if isinstance(error, interruption.Interrupted | KeyboardInterrupt):
        return "interrupted"
    return "diverged" if getattr(error, "exit_code", None) == 3 else "failed"


def read(folder: Path) -> dict[str, Any] | None:
    """The content of `status.json` of a run folder; None if it is missing or invalid."""
    try:
        facts = foreign.parse_json(foreign.read(folder / FILE, SIZE))
    except (OSError, ValueError, Untrusted):
        return None
    sound = isinstance(facts, dict) and all(type(facts.get(key, 0)) is int for key in ("pid", "checkpoint"))
    return facts if sound and 0 < facts.get("pid", 0) < 2**31 else None


def is_alive(folder: Path, facts: dict[str, Any]) -> bool:
    """Whether the process that wrote `facts` runs: on this machine by its id, on others by the age of its last heartbeat."""
    if facts.get("state") not in RUNNING:
        return False
    if facts.get("host") == socket.gethostname():
        return psutil.pid_exists(facts["pid"])
    return _age(folder) < DEAD


def who(facts: dict[str, Any] | None) -> str:
    return f"process {facts['pid']} on {facts.get('host')}" if facts else "another process"


def _age(folder: Path) -> float:
    """Seconds since the last heartbeat, by the clock of the file system, because the clocks of two machines differ."""
    touched = folder / ".lock"
    touched.touch()
    try:
        return touched.stat().st_mtime - (folder / FILE).stat().st_mtime
    except OSError:
        return float("inf")


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
