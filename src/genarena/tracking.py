"""Where numbers go while a run trains: always a CSV, and W&B or TensorBoard where they are asked for."""

import csv
import os
import socket
from argparse import Namespace
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from genarena.errors import UserError


class MetricsCSV(Logger):
    """`metrics.csv`: one row per logged step. A resumed run goes on in the same file; new columns widen it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []
        if path.exists():
            with path.open(newline="") as file:
                reader = csv.DictReader(file)
                self.columns = list(reader.fieldnames or [])

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """The configuration is in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append({"step": step, **metrics})
        if len(self.rows) >= 20:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        new = [key for row in self.rows for key in row if key not in self.columns]
        if new:
            former = list(csv.DictReader(self.path.open(newline=""))) if self.path.exists() else []
            self.columns += list(dict.fromkeys(new))
            self._write(former, "w")
        self._write(self.rows, "a")
        self.rows = []

    def _write(self, rows: list[dict[str, Any]], mode: str) -> None:
        with self.path.open(mode, newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()


def loggers(settings: dict[str, Any], folder: Path, resolved: dict[str, Any]) -> list[Logger]:
    """The loggers of `conf/logger/<kind>.yaml` for a run folder."""
    kind = settings["kind"]
    chosen: list[Logger] = [] if kind == "none" else [MetricsCSV(folder / "metrics.csv")]
    if kind == "tensorboard":
        try:
            from pytorch_lightning.loggers import TensorBoardLogger

            chosen.append(TensorBoardLogger(folder, name="", version="tensorboard"))
        except ModuleNotFoundError as error:
            raise UserError("logger=tensorboard needs the package: pip install tensorboard") from error
    if kind == "wandb":
        chosen.append(_wandb(settings, folder, resolved))
    return chosen


def _wandb(settings: dict[str, Any], folder: Path, resolved: dict[str, Any]) -> Logger:
    from pytorch_lightning.loggers import WandbLogger

    offline = _goes_offline(settings["offline"], folder)
    identity = "-".join(folder.parts[-3:])  # the same folder is the same W&B run, also when it is resumed
    return WandbLogger(project=settings["project"], entity=settings["entity"], name=identity, id=identity, save_dir=folder,
                       offline=offline, log_model=False, config=resolved)  # fmt: skip


def _goes_offline(asked: bool | None, folder: Path) -> bool:
    """What is asked for, else whether W&B cannot be reached; says how to upload later."""
    os.environ.setdefault("WANDB_SILENT", "true")
    if asked is not None:
        return asked
    reason = _why_offline()
    if reason:
        print(f"wandb: offline ({reason}); later: wandb sync {folder}/wandb/offline-run-*", flush=True)
    return reason is not None


def _why_offline() -> str | None:
    """None when W&B has a key and answers within two seconds."""
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    try:
        has_key = bool(os.environ.get("WANDB_API_KEY")) or netrc().authenticators(host.hostname or "") is not None
    except (OSError, NetrcParseError):
        has_key = False
    if not has_key:
        return "no API key"
    try:
        socket.create_connection((host.hostname or "", host.port or 443), timeout=2).close()
    except OSError:
        return "no network"
    return None


def log_row(chosen: list[Logger], row: dict[str, Any], picture: Path) -> None:
    """The final row and the final samples to every logger that takes them."""
    values = {f"test/{name}": record["value"] for name, record in row["metrics"].items() if record["value"] is not None}
    for logger in chosen:
        logger.log_metrics(values)
        if hasattr(logger, "log_image"):
            logger.log_image("final_samples", [str(picture)])
            logger.experiment.summary["row"] = row
        logger.finalize("success")
    if any(hasattr(logger, "log_image") for logger in chosen):
        import wandb

        wandb.finish()


def log_leaderboard(settings: dict[str, Any], tables: dict[str, list[dict[str, Any]]], files: list[Path]) -> None:
    """Tables (name -> rows) as W&B tables, and the files as one artifact; `settings` as in conf/logger/wandb.yaml."""
    import wandb

    folder = files[0].parent
    mode = "offline" if _goes_offline(settings["offline"], folder) else "online"
    with wandb.init(project=settings["project"], entity=settings["entity"], name="leaderboard", job_type="leaderboard",
                    dir=folder, mode=mode) as run:  # fmt: skip
        for name, rows in tables.items():
            columns = list(dict.fromkeys(key for row in rows for key in row))
            run.log({name: wandb.Table(columns=columns, data=[[row.get(key) for key in columns] for row in rows])})
        artifact = wandb.Artifact("leaderboard", type="leaderboard")
        for file in files:
            artifact.add_file(str(file))
        run.log_artifact(artifact)
