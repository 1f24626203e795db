"""Weights & Biases. Training neither waits for W&B's network nor fails because of it; no key is written to a file.

W&B writes logged values into the run folder and uploads them from there in a separate process. Only the start, artifacts and
the end wait for the server, each with a time limit. If it is exceeded, the run is offline, and the upload command is printed.
"""

import os
import re
import secrets
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genarena.files.atomic import replace_atomically
from genarena.tracking.base import Tracker
from genarena.tracking.wandb_settings import check, disabled, first_line, names, prepare, why_offline

TEXTS = ("model", "family", "likelihood", "weights", "precision", "commit", "status")  # from the row, for the summary


class WandB(Tracker):
    """One W&B run per run folder. Its id is stored in `wandb/id`, so that a resumed run continues the same W&B run."""

    def __init__(self, settings: dict[str, Any], folder: Path, resolved: dict[str, Any]) -> None:
        super().__init__()
        self.settings, self.folder = settings, folder
        names = resolved["choices"]
        self.run = _start(
            settings,
            folder,
            id=_identity(folder),
            resume="allow",
            config=resolved,
            allow_val_change=True,
            name="-".join(folder.parts[-3:]),
            job_type="train",
            group=f"{names['data']}-{names['model']}",
            tags=[names["data"], names["model"]],
        )
        self.run.define_metric("*", step_metric="batch")

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self._attempt(lambda: self.run.log({"batch": step, **metrics}))

    def log_picture(self, name: str, path: Path, step: int) -> None:
        import wandb

        self._attempt(lambda: self.run.log({"batch": step, name: wandb.Image(str(path))}))

    def log_row(self, row: dict[str, Any], files: list[Path]) -> None:
        texts = {key: row[key] for key in TEXTS if row.get(key)} | {"error": None}  # clears an earlier error
        texts |= {"data": row["data"]["id"], "line": row["line"]["id"], "budget": row["budget"]["name"]}
        self._attempt(lambda: self.run.summary.update(texts))
        if self.settings["log_model"] and not self.run.offline:
            self._attempt(lambda: self._upload(row, files))

    def _upload(self, row: dict[str, Any], files: list[Path]) -> None:
        """Upload the files as an artifact; once downloaded, it is a run folder."""
        import wandb

        facts = {"model": row["model"], "data": row["data"]["id"], "seed": row["seed"]}
        artifact = wandb.Artifact(f"model-{self.run.id}", type="model", metadata=facts)
        for file in files:
            artifact.add_file(str(file), name=str(file.relative_to(self.folder)), policy="immutable", skip_cache=True)
        self.run.log_artifact(artifact)  # needs the server

    def close(self, error: BaseException | None) -> None:
        if error is not None:
            text = str(error).strip().splitlines()
            self._attempt(
                lambda: self.run.summary.update({"status": "failed", "error": text[0] if text else repr(error)})
            )
        _finish(self.run, self.folder, 0 if error is None else 1)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Call `action`. An error of W&B is printed and does not end the run: metrics.csv has the numbers."""
        try:
            action()
        except Exception as error:
            print(f"wandb: {first_line(error)}", flush=True)


def log_leaderboard(settings: dict[str, Any], tables: dict[str, list[dict[str, Any]]], files: list[Path]) -> None:
    """Log tables (name -> rows) as W&B tables, and the files as one artifact; `settings` as in conf/logger/wandb.yaml."""
    check(settings)
    if disabled(settings):
        return
    import wandb

    folder = files[0].parent
    run = _start(settings | {"log_model": False}, folder, name="leaderboard", job_type="leaderboard")
    for name, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        run.log({name: wandb.Table(columns=columns, data=[[row.get(key) for key in columns] for row in rows])})
    artifact = wandb.Artifact("leaderboard", type="leaderboard")
    for file in files:
        artifact.add_file(str(file))
    run.log_artifact(artifact)
    _finish(run, folder, 0)


def _identity(folder: Path) -> str:
    """The W&B id of a run folder, created if missing. In a W&B sweep the agent chooses it."""
    path = folder / "wandb" / "id"
    if path.is_file() and re.fullmatch(r"[\w-]{1,64}", known := path.read_text().strip(), re.ASCII):
        return known
    given = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
    identity = given or secrets.token_hex(5)
    replace_atomically(path, lambda temporary: temporary.write_text(identity + "\n"))
    return identity


# -- start and end -----------------------------------------------------------------------------------------------------


def _start(settings: dict[str, Any], folder: Path, **options: Any) -> Any:
    """A W&B run: online if asked for and the server answers in time; else offline, and the reason is printed."""
    prepare(settings)
    import wandb

    before = set(folder.glob("wandb/run-*"))
    limits = {key: float(settings[key]) for key in ("init_timeout", "finish_timeout")}
    # Do not record the command line, the git remote's address (it may contain a password) or terminal output.
    quiet = wandb.Settings(
        x_disable_meta=True,
        disable_git=True,
        disable_code=True,
        console="off",
        silent=True,
        symlink=False,
        finish_timeout_raises=True,
        **limits,
    )
    entity, project = names(settings)
    options |= {"project": project, "entity": entity, "dir": str(folder), "settings": quiet}
    reason = why_offline(settings["offline"])
    if reason is None:
        try:
            return wandb.init(mode="online", **options)
        except wandb.Error as error:
            reason = first_line(error)
            wandb.teardown()  # without this the id counts as used
            for path in set(folder.glob("wandb/run-*")) - before:  # nothing was logged there
                shutil.rmtree(path, ignore_errors=True)
    print(f"wandb: offline ({reason}){'; checkpoints stay here' if settings['log_model'] else ''}", flush=True)
    return wandb.init(mode="offline", **options)


def _finish(run: Any, folder: Path, code: int) -> None:
    """End the run within `finish_timeout` seconds; if not everything is uploaded, print the upload command."""
    complete = not run.offline
    try:
        run.finish(exit_code=code)
    except Exception as error:
        complete = False
        if not run.offline:
            print(f"wandb: not everything is uploaded ({first_line(error)})", flush=True)
    if not complete:  # all parts of a resumed run, to be uploaded in the order of their start
        parts = [path for path in sorted(folder.glob(f"wandb/*run-*-{run.id}*")) if not any(path.glob("*.synced"))]
        flag = "--include-online " if any(path.name.startswith("run-") for path in parts) else ""
        print(f"wandb: to upload: wandb sync {flag}{shlex.join(map(str, parts))}", flush=True)
