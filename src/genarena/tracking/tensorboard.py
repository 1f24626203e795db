"""TensorBoard: the numbers, pictures, configuration and row, as event files in the run folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genarena.errors import UserError
from genarena.tracking.base import Tracker


class TensorBoard(Tracker):
    """Writes `tensorboard/` of a run folder. Raises UserError if the package is missing."""

    def __init__(self, folder: Path, resolved: dict[str, Any]) -> None:
        super().__init__()
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError("logger=tensorboard needs the package: pip install tensorboard") from error
        self.folder, self.open = folder, SummaryWriter
        self.writer = SummaryWriter(str(folder))
        self.writer.add_text("config", _code(resolved), 0)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, step)

    def log_picture(self, name: str, path: Path, step: int) -> None:
        self.writer.add_image(name, np.asarray(Image.open(path).convert("RGB")), step, dataformats="HWC")

    def log_row(self, row: dict[str, Any], files: list[Path]) -> None:
        self.writer.add_text("row", _code(row), row["cost"]["examples_seen"])

    def rewind(self, step: int) -> None:
        if step:
            self.writer.close()
            self.writer = self.open(str(self.folder), purge_step=step + 1)

    def save(self) -> None:
        self.writer.flush()

    def close(self, error: BaseException | None) -> None:
        self.writer.close()


def _code(content: dict[str, Any]) -> str:
    """JSON as an indented block, which TensorBoard's Markdown shows unchanged."""
    return "\n".join(f"    {line}" for line in json.dumps(content, indent=2).splitlines())
