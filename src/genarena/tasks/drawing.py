"""Figures of matplotlib as pictures of a task."""

import io
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 80  # per inch


def figure(width: float, height: float) -> "Figure":
    """An empty figure, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


def as_picture(drawn: "Figure") -> Tensor:
    """uint8 (1, 3, H, W)."""
    file = io.BytesIO()
    drawn.savefig(file, dpi=DOTS, format="png")
    pixels = np.array(Image.open(file).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0)
