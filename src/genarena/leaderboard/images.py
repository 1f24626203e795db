"""Encodes the pictures of runs as data URIs, small enough for a page with hundreds of runs."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from genarena.errors import ArenaError, DataError
from genarena.files import foreign

FILE_BYTES = 50_000_000
SIDE = 16_383  # largest width and height of WebP, in pixels
PIXELS = 40_000_000
PAGE_BYTES = 8_000_000  # all pictures of a page together, encoded in base64
LEVELS = ((1, None), (1, 85), (1, 60), (1, 30), (2, 50), (4, 50))  # reduction, WebP quality (None: lossless)


@dataclass(frozen=True)
class Picture:
    uri: str
    width: int
    height: int


class Gallery:
    """Encodes pictures as WebP, each with an equal share of the page: lossless if that is small enough, else lossy.

    `LEVELS` are tried in their order. For pictures of the same size the search starts at the level of the last one.
    """

    def __init__(self, num_pictures: int) -> None:
        self.limit = 3 * PAGE_BYTES // 4 // max(1, num_pictures)  # base64 encodes 3 bytes as 4 characters
        self.levels: dict[tuple[int, int], int] = {}

    def picture(self, path: Path) -> Picture:
        """Encode the PNG file `path`. Raises DataError or Untrusted if it is not a valid picture of a run."""
        image = _decoded(path)
        level = self.levels.get(image.size, 0)
        data = _encode(image, *LEVELS[level])
        while len(data) > self.limit and level + 1 < len(LEVELS):
            level += 1
            data = _encode(image, *LEVELS[level])
        self.levels[image.size] = level
        return Picture(f"data:image/webp;base64,{base64.b64encode(data).decode()}", *image.size)


def _decoded(path: Path) -> Image.Image:
    try:
        with foreign.opened(path, FILE_BYTES) as file, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=["PNG"])
            if max(opened.size) > SIDE or opened.width * opened.height > PIXELS:
                raise DataError(f"{path} has {opened.width}x{opened.height} pixels, more than the page shows")
            return opened.convert("RGB")
    except ArenaError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise DataError(f"{path} cannot be read as a picture: {error}") from error


def _encode(image: Image.Image, shrink: int, quality: int | None) -> bytes:
    buffer = io.BytesIO()
    image = image.reduce(shrink) if shrink > 1 else image
    image.save(buffer, "WEBP", method=4, **({"lossless": True} if quality is None else {"quality": quality}))
    return buffer.getvalue()
