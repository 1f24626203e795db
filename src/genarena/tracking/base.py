"""The interface of a tracker: a Lightning logger that also takes pictures and the final row, and can forget later steps."""

from abc import abstractmethod
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Tracker(Logger):
    """A receiver of a run's numbers and pictures. It exists on rank 0 only."""

    @abstractmethod
    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Log `metrics` after `step` batches."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """Does nothing: the tracker's constructor gets the configuration."""

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """Log a PNG from `samples/`."""

    def log_row(self, row: dict[str, Any], files: list[Path]) -> None:
        """Log the texts in the row of a finished run. files: files that the tracker may store."""

    def rewind(self, step: int) -> None:
        """Training resumes after `step` batches: remove values of later batches, if this tracker can."""

    def close(self, error: BaseException | None) -> None:
        """The run has ended. error: the error of a failed run, else None."""

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def version(self) -> str:
        return ""
