"""Encodes the pictures of runs as data URIs, small enough for a page with hundreds of runs."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from genarena.errors import ArenaError, DataError
from genarena.files import foreign

FILE_BYTES = 50_000_000
SIDE = 16_383  # largest width and height of WebP, in pixels
PIXELS = 40_000_000
PAGE_BYTES = 8_000_000  # the pictures of all runs together, encoded in base64
FRAMES = 200  # of a moving picture
DURATION = 120  # milliseconds of a frame that does not say
LEVELS = ((1, None), (1, 85), (1, 60), (1, 30), (2, 50), (4, 50))  # reduction, WebP quality (None: lossless)


@dataclass(frozen=True)
class Picture:
    uri: str
    width: int
    height: int
    moves: bool = False


class Gallery:
    """Encodes pictures as WebP, each with an equal share of `page_bytes`: lossless if that is small enough, else lossy.

    `LEVELS` are tried in their order. For pictures of the same size the search starts at the level of the last one.
    """

    def __init__(self, num_pictures: int, page_bytes: int = PAGE_BYTES) -> None:
        self.limit = 3 * page_bytes // 4 // max(1, num_pictures)  # base64 encodes 3 bytes as 4 characters
        self.levels: dict[tuple[int, int, int], int] = {}

    def picture(self, path: Path) -> Picture:
        """Encode the PNG or GIF file `path`. Raises DataError or Untrusted if it is not a valid picture of a run."""
        frames, durations = _decoded(path)
        size, kind = frames[0].size, (len(frames), *frames[0].size)
        level = self.levels.get(kind, 0)
        data = _encode(frames, durations, *LEVELS[level])
        while len(data) > self.limit and level + 1 < len(LEVELS):
            level += 1
            data = _encode(frames, durations, *LEVELS[level])
        self.levels[kind] = level
        return Picture(f"data:image/webp;base64,{base64.b64encode(data).decode()}", *size, moves=len(frames) > 1)


def _decoded(path: Path) -> tuple[list[Image.Image], list[int]]:
    """The frames, and how many milliseconds each is seen; a PNG has one."""
    try:
        with foreign.opened(path, FILE_BYTES) as file, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=["GIF" if path.suffix == ".gif" else "PNG"])
            pixels = opened.width * opened.height
            if max(opened.size) > SIDE or pixels > PIXELS:
                raise DataError(f"{path} has {opened.width}x{opened.height} pixels, more than the page shows")
            frames, durations = [], []
            for number, frame in enumerate(ImageSequence.Iterator(opened)):
                if number == FRAMES or (number + 1) * pixels > PIXELS:
                    raise DataError(f"{path} has {number + 1} frames or more, more than the page shows")
                frames.append(frame.convert("RGB"))
                durations.append(int(frame.info.get("duration") or DURATION))
            return frames, durations
    except ArenaError:
        raise
    except Exception as error:  # Pillow raises many kinds of exceptions for damaged files
        raise DataError(f"{path} cannot be read as a picture: {error}") from error


def _encode(frames: list[Image.Image], durations: list[int], shrink: int, quality: int | None) -> bytes:
    buffer = io.BytesIO()
    small = [frame.reduce(shrink) for frame in frames] if shrink > 1 else frames
    how: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    if len(small) > 1:
        how |= {"save_all": True, "append_images": small[1:], "duration": durations, "loop": 0}
    small[0].save(buffer, "WEBP", method=4, **how)
    return buffer.getvalue()
