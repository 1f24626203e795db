"""Lines of text above the rows of a grid of images: which caption they were drawn for."""

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

LINE, LETTER = 13, 5  # height of a line, and mean width of a letter, in pixels
NARROWEST = 160  # pixels; a narrower grid is widened, so that words fit
MARGIN, GREY = 2, 128


def with_titles(picture: Tensor, titles: Sequence[str]) -> Tensor:
    """A grid (C, rows * (H + 2) + 2, width) uint8 with a title above each row, or above each block of equally many rows.

    Long titles take several lines. Raises ValueError if the rows are no multiple of the titles.
    """
    height = picture.shape[1] - MARGIN
    if not titles or height % len(titles):
        raise ValueError(f"{len(titles)} titles: expected one for each row of the grid")
    if (missing := NARROWEST - picture.shape[2]) > 0:
        picture = torch.nn.functional.pad(picture, (0, missing), value=GREY)
    parts = []
    for title, images in zip(titles, picture[:, :height].split(height // len(titles), 1), strict=True):
        parts += [_strip(title, picture.shape[2]).expand(len(picture), -1, -1), images]
    return torch.cat([*parts, picture[:, height:]], dim=1)


def _strip(title: str, width: int) -> Tensor:
    """White lines (1, h, width) with the words of a title in black."""
    lines = textwrap.wrap(title, max(1, (width - 2 * MARGIN) // LETTER)) or [""]
    strip = Image.new("L", (width, LINE * len(lines)), 255)
    for number, line in enumerate(lines):
        spaced = line.replace(" ", "  ")  # a single space is hardly seen at this size
        ImageDraw.Draw(strip).text((MARGIN, (number + 0.5) * LINE), spaced, fill=0, anchor="lm", font_size=LINE - 3)
    return torch.from_numpy(np.array(strip))[None]
