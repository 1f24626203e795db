"""Weights & Biases. Training never waits for its network and never fails by it; no key is written to a file.

W&B keeps what is logged in the run folder first and uploads from there in a process of its own. What can wait are the start,
the checkpoints and the end: each has a time limit, after which the run is offline and the line to upload it is printed.
"""

import math
import os
import re
import secrets
import shlex
import shutil
import socket
import threading
from collections.abc import Callable
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from genarena.errors import UserError
from genarena.files.atomic import replace_atomically
from genarena.tracking.base import Tracker

TEXTS = ("model", "family", "likelihood", "weights", "precision", "commit", "status")  # of the row, for the summary


class WandB(Tracker):
    """One W&B run per run folder. Its id is kept in `wandb/id`, so that a resumed run goes on as the same W&B run."""

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
        texts = {key: row[key] for key in TEXTS if row.get(key)} | {"error": None}  # it may have failed before
        texts |= {"data": row["data"]["id"], "protocol": row["protocol"]["id"], "budget": row["budget"]["name"]}
        self._attempt(lambda: self.run.summary.update(texts))
        if self.settings["log_model"] and not self.run.offline:
            self._attempt(lambda: self._upload(row, files))

    def _upload(self, row: dict[str, Any], files: list[Path]) -> None:
        """As an artifact that, downloaded, is a run folder."""
        import wandb

        facts = {"model": row["model"], "data": row["data"]["id"], "seed": row["seed"]}
        artifact = wandb.Artifact(f"model-{self.run.id}", type="model", metadata=facts)
        for file in files:
            artifact.add_file(str(file), name=str(file.relative_to(self.folder)), policy="immutable", skip_cache=True)
        self.run.log_artifact(artifact)  # asks the server who we are

    def close(self, error: BaseException | None) -> None:
        if error is not None:
            text = str(error).strip().splitlines()
            self._attempt(
                lambda: self.run.summary.update({"status": "failed", "error": text[0] if text else repr(error)})
            )
        _finish(self.run, self.folder, 0 if error is None else 1)

    def _attempt(self, action: Callable[[], object]) -> None:
        """What goes wrong with W&B is said, and is no reason to stop: metrics.csv has the numbers."""
        try:
            action()
        except Exception as error:
            print(f"wandb: {_first_line(error)}", flush=True)


def log_leaderboard(settings: dict[str, Any], tables: dict[str, list[dict[str, Any]]], files: list[Path]) -> None:
    """Tables (name -> rows) as W&B tables, and the files as one artifact; `settings` as in conf/logger/wandb.yaml."""
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
    """The W&B id of a run folder; an agent of a W&B sweep chooses the id itself."""
    path = folder / "wandb" / "id"
    if path.is_file() and re.fullmatch(r"[\w-]{1,64}", known := path.read_text().strip(), re.ASCII):
        return known
    given = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
    identity = given or secrets.token_hex(5)
    replace_atomically(path, lambda temporary: temporary.write_text(identity + "\n"))
    return identity


# -- start and end -----------------------------------------------------------------------------------------------------


def check(settings: dict[str, Any]) -> None:
    """Raise UserError where a run is to be online and there is no key for it."""
    if settings["kind"] == "wandb" and settings["offline"] is False and not _has_key(_server()):
        raise UserError(
            "logger.offline=false: W&B has no API key; set WANDB_API_KEY, or `wandb login`, or leave it out"
        )


def _start(settings: dict[str, Any], folder: Path, **options: Any) -> Any:
    """A W&B run, online where it is asked for and the server answers in time, else offline with the reason in one line."""
    os.environ.setdefault("WANDB_SILENT", "true")
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(math.ceil(settings["init_timeout"])))  # of questions beside the run
    import wandb

    before = set(folder.glob("wandb/run-*"))
    limits = {key: float(settings[key]) for key in ("init_timeout", "finish_timeout")}
    # No command line, no address of the git remote (it may hold a password), nothing of the terminal.
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
    options |= {"project": settings["project"], "entity": settings["entity"], "dir": str(folder), "settings": quiet}
    reason = _why_offline(settings["offline"])
    if reason is None:
        try:
            return wandb.init(mode="online", **options)
        except wandb.Error as error:
            reason = _first_line(error)
            wandb.teardown()  # else the id counts as taken
            for path in set(folder.glob("wandb/run-*")) - before:  # nothing was logged there
                shutil.rmtree(path, ignore_errors=True)
    print(f"wandb: offline ({reason}){'; checkpoints stay here' if settings['log_model'] else ''}", flush=True)
    return wandb.init(mode="offline", **options)


def _finish(run: Any, folder: Path, code: int) -> None:
    """End the run within `finish_timeout`, and say how to upload what lies here."""
    complete = not run.offline
    try:
        run.finish(exit_code=code)
    except Exception as error:
        complete = False
        if not run.offline:
            print(f"wandb: not everything is uploaded ({_first_line(error)})", flush=True)
    if not complete:  # of a run that was resumed, all parts; they are uploaded in the order of their start
        parts = [path for path in sorted(folder.glob(f"wandb/*run-*-{run.id}*")) if not any(path.glob("*.synced"))]
        flag = "--include-online " if any(path.name.startswith("run-") for path in parts) else ""
        print(f"wandb: to upload: wandb sync {flag}{shlex.join(map(str, parts))}", flush=True)


def _within(seconds: float, action: Callable[[], object]) -> None:
    """Call `action` and wait at most that long for it. Raises what it raises, and TimeoutError."""
    raised: list[BaseException] = []

    def attempt() -> None:
        try:
            action()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise TimeoutError(f"no answer in {seconds:g} s")
    if raised:
        raise raised[0]


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines and lines[0] != "<no message>" else type(error).__name__


def _server() -> Any:
    return urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))


def _why_offline(asked: bool | None) -> str | None:
    """None when W&B is to be used, has a key, and its server or the proxy to it takes connections."""
    mode = os.environ.get("WANDB_MODE", "online")
    if asked or (asked is None and mode not in ("online", "run")):
        return "logger.offline=true" if asked else f"WANDB_MODE={mode}"
    server = _server()
    if not _has_key(server):
        return "no API key"
    proxy = getproxies().get(server.scheme)
    if proxy and not proxy_bypass(server.hostname or ""):
        server = urlparse(proxy if "//" in proxy else f"http://{proxy}")
    try:
        port = server.port or (80 if server.scheme == "http" else 443)
        _within(3.0, lambda: socket.create_connection((server.hostname or "", port), timeout=2).close())
    except OSError:
        return "no network"
    return None


def _has_key(server: Any) -> bool:
    try:
        file = os.environ.get("NETRC")
        return bool(os.environ.get("WANDB_API_KEY")) or netrc(file).authenticators(server.hostname or "") is not None
    except (OSError, NetrcParseError):
        return False
