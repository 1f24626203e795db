"""Lines of text above the rows of a grid of images: which caption they were drawn for."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LINE = 13  # height of a line, pixels
SPACE = "  "  # between words: a single space is hardly seen at this size
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
    font = ImageFont.load_default(LINE - 3)
    lines = _wrapped(title, width - 2 * MARGIN, font)
    strip = Image.new("L", (width, LINE * len(lines)), 255)
    for number, line in enumerate(lines):
        ImageDraw.Draw(strip).text((MARGIN, (number + 0.5) * LINE), line, fill=0, anchor="lm", font=font)
    return torch.from_numpy(np.array(strip))[None]


def _wrapped(title: str, width: int, font: ImageFont.FreeTypeFont) -> list[str]:
    """Lines of whole words that are at most `width` pixels wide; a word that is wider alone has a line of its own."""
    lines = [""]
    for word in title.split():
        longer = f"{lines[-1]}{SPACE}{word}" if lines[-1] else word
        if not lines[-1] or font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
