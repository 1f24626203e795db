"""The trackers of a run: opened before training, given the row at the end, and always closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_only

from genarena.tracking.base import Tracker
from genarena.tracking.metrics_csv import MetricsCSV

PICTURES = {"final": "samples", "reconstructions": "reconstructions", "neighbours": "neighbours"}  # of the evaluation


@contextmanager
def opened(settings: dict[str, Any], folder: Path, resolved: dict[str, Any]) -> Iterator[list[Tracker]]:
    """The trackers of `conf/logger/<kind>.yaml` for a run folder; none on ranks other than 0."""
    trackers = _trackers(settings, folder, resolved) if rank_zero_only.rank == 0 else []
    error: BaseException | None = None
    try:
        yield trackers
    except BaseException as caught:
        error = caught
        raise
    finally:
        for tracker in trackers:
            tracker.close(error)


def _trackers(settings: dict[str, Any], folder: Path, resolved: dict[str, Any]) -> list[Tracker]:
    kind = settings["kind"]
    chosen: list[Tracker] = [] if kind == "none" else [MetricsCSV(folder / "metrics.csv")]
    if kind == "tensorboard":
        from genarena.tracking.tensorboard import TensorBoard

        chosen.append(TensorBoard(folder / "tensorboard", resolved))
    if kind == "wandb":
        from genarena.tracking import wandb_run

        chosen += [] if wandb_run.disabled(settings) else [wandb_run.WandB(settings, folder, resolved)]
    return chosen


def log_row(trackers: list[Tracker], row: dict[str, Any], samples: Path, files: list[Path], step: int) -> None:
    """Log the row of a finished run, and its pictures from the folder `samples`. files: weights, configuration and row."""
    for tracker in trackers:
        tracker.log_metrics(numbers(row), step)
        for stem, name in PICTURES.items():
            if (samples / f"{stem}.png").is_file():
                tracker.log_picture(f"test/{name}", samples / f"{stem}.png", step)
        tracker.log_row(row, files)


def numbers(row: dict[str, Any]) -> dict[str, float]:
    """The numeric metrics and costs of a row, as `test/<metric>` (or `validation/<metric>`) and `cost/<name>`."""
    split = "test" if row["data"]["split"] == "test" else "validation"
    metrics = {f"{split}/{name}": record["value"] for name, record in row["metrics"].items()}
    costs = {f"cost/{name}": value for name, value in row["cost"].items()}
    return {name: value for name, value in (metrics | costs).items() if isinstance(value, int | float)}
