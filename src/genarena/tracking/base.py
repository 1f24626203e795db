"""The interface of a tracker: a Lightning logger that also takes pictures and the final row, and can forget later steps."""

from abc import abstractmethod
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Tracker(Logger):
    """One place where numbers and pictures of a run go. It exists on rank 0 only."""

    @abstractmethod
    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """`metrics` after `step` batches."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """The configuration is given to the tracker when it is made."""

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """A PNG of `samples/`."""

    def log_row(self, row: dict[str, Any], files: list[Path]) -> None:
        """The texts in the row of a finished run, and the files that a tracker may store."""

    def rewind(self, step: int) -> None:
        """Training goes on from `step` batches: forget what was logged for later ones, if this tracker can."""

    def close(self, error: BaseException | None) -> None:
        """The run has ended. `error`: what ended a run that failed, else None."""

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def version(self) -> str:
        return ""
