"""A launcher whose jobs end at once, and run folders in the form in which runs leave them."""

import json
from collections.abc import Callable
from pathlib import Path

from genarena.jobs.job import Job
from genarena.runs import results


def stored_run(job: Job, name: str, row: dict | None) -> Path:
    """Write a run folder with the job's config.yaml and, unless it is None, the row."""
    folder = Path(job.cfg["runs_dir"]) / job.cfg["choices"]["data"] / job.cfg["choices"]["model"] / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(job.cfg))  # JSON is YAML
    if row is not None:
        whole = {
            "schema_version": results.SCHEMA_VERSION,
            "model": "made",
            "family": "autoregressive",
            "data": {"id": "d", "split": "test"},
            "protocol": {"version": 5, "metrics": {}},
            "line": {"id": "l", "settings": {}, "sources": {}},
            "metrics": {},
            "overrides": [],
            "likelihood": "exact",
            "seed": 0,
            "budget": {"name": "b", "minutes": None, "examples": 1},
            "versions": {},
            "commit": None,
            "cost": {
                "examples_seen": 1,
                "train_seconds": 1.0,
                "parameters": 1,
                "sample_seconds_per_image": None,
                "peak_memory_mb": 1.0,
            },
        }
        results.write_row(whole | row, folder / "result.json")
    return folder


class Instant:
    """A launcher whose jobs end at once with given exit codes.

    codes: for each job, its exit code (None: the job runs until it is stopped), or a function that writes the job's files and
        returns the code. The last one is used for all further jobs.
    """

    def __init__(self, *codes: int | Callable[[Job], int | None] | None, slots: int = 1) -> None:
        self.slots, self.codes = slots, list(codes)
        self.started: list[str] = []
        self.jobs: list[Job] = []
        self.stopped: list[Job] = []

    def start(self, job: Job, arguments: list[str], slot: int) -> "Instant.Handle":
        self.started.append(arguments[-1])
        self.jobs.append(job)
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        return Instant.Handle(self, job, code(job) if callable(code) else code)

    def attach(self, job: Job, slot: int) -> None: ...

    def close(self) -> None: ...

    class Handle:
        def __init__(self, owner: "Instant", job: Job, code: int | None) -> None:
            self.owner, self.job, self.code = owner, job, code

        def poll(self) -> int | None:
            return self.code

        def stop(self) -> None:
            if self.code is None:
                self.owner.stopped.append(self.job)
                self.code = 143

        def kill(self) -> None: ...
