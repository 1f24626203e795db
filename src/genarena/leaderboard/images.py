"""Pictures of runs as data URIs that are small enough for a page of hundreds of runs."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

PAGE_BYTES = 8_000_000  # of all pictures of a page together, as text
QUALITIES = (90, 75, 60, 45, 30, 15)


@dataclass(frozen=True)
class Picture:
    uri: str
    width: int
    height: int


class Gallery:
    """Encodes pictures as WebP: without loss where the page's share allows it, else as well as it does."""

    def __init__(self, num_pictures: int) -> None:
        self.limit = 3 * PAGE_BYTES // 4 // max(1, num_pictures)  # base64 makes 4 letters of 3 bytes

    def picture(self, path: Path) -> Picture | None:
        """None where there is no readable picture."""
        try:
            with Image.open(path) as opened:
                image = opened.convert("RGB")
        except OSError:
            return None
        size = image.size
        data = _encode(image, lossless=True)
        for quality in QUALITIES:
            if len(data) <= self.limit:
                break
            data = _encode(image, quality=quality)
        while len(data) > self.limit and min(image.size) > 64:
            image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
            data = _encode(image, quality=QUALITIES[-1])
        return Picture(f"data:image/webp;base64,{base64.b64encode(data).decode()}", *size)


def _encode(image: Image.Image, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()
