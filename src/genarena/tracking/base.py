"""What a tracker is: a Lightning logger that also takes pictures and the final row, and can be wound back."""

from abc import abstractmethod
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Tracker(Logger):
    """One destination of what a run has to show. It exists on rank 0 only."""

    @abstractmethod
    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """`metrics` after `step` batches."""

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """The configuration is given to the tracker when it is made."""

    def log_picture(self, name: str, path: Path, step: int) -> None:
        """A PNG of `samples/`."""

    def log_row(self, row: dict[str, Any], files: list[Path]) -> None:
        """What is no number in the row of a finished run, and the files worth keeping elsewhere."""

    def rewind(self, step: int) -> None:
        """Training goes on from `step` batches: forget what was logged for later ones, where that can be."""

    def close(self, error: BaseException | None) -> None:
        """Nothing more comes; `error` is why, of a run that failed."""

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def version(self) -> str:
        return ""
