"""Figures of matplotlib as files of PNG, and as pictures."""

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 80  # per inch of a picture; a file has 100


def figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def png(drawn: "Figure", dots: int = 100) -> bytes:
    """A drawn figure as a file of PNG."""
    file = io.BytesIO()
    drawn.savefig(file, dpi=dots, format="png")
    return file.getvalue()


def as_picture(drawn: "Figure") -> Tensor:
    """uint8 (1, 3, H, W)."""
    pixels = np.array(Image.open(io.BytesIO(png(drawn, DOTS))).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
