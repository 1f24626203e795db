"""From the bytes of one picture to an array: the only decoder, for sets, shards, Hugging Face and samples made elsewhere.

The content of a file decides its format, never its name. A picture is decoded as a viewer shows it: turned by its EXIF
orientation, transparent pixels over a background. Pictures may come from anywhere, so only the formats below are parsed, and
a picture of more than `MAX_PIXELS` is refused by its header.
"""

import io
import math
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "AVIF")  # some of Pillow's others start programs
MAX_PIXELS = 64_000_000
BACKGROUNDS = {"white": 255, "grey": 128, "black": 0, "refuse": None}  # name -> level of every channel
GREY = ("1", "L", "LA", "La")  # modes of Pillow without colour
FIRST_ONLY = ("MPO",)  # a JPEG of a phone or stereo camera: its other frames are previews, depth, or the second eye
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation -> operation that turns the stored pixels upright
EXIF = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # keys where Pillow finds an orientation


class Fitting(Protocol):
    """How a picture becomes an example of `shape` (C, H, W)."""

    shape: tuple[int, int, int]
    background: str  # one of `BACKGROUNDS`

    def admit(self, image: Image.Image) -> None:
        """Raise ValueError for an unwanted file; only its header has been read."""

    def fit(self, picture: Image.Image) -> np.ndarray:
        """A picture of mode L or RGB as (H, W, C) uint8. Raises ValueError if it does not fit."""


@dataclass(frozen=True)
class Recipe:
    """Which part of a picture is used, and how it is resized to `shape` (C, H, W), grey or RGB.

    share: side of the centred square, as a share of the picture's width; None: the largest centred part with the
        proportions of `shape`.
    aspect: width / height that pictures must have, within 2%; None: any.
    """

    shape: tuple[int, int, int]
    share: float | None = None
    aspect: float | None = None
    resampling: str = "bicubic"
    background: str = "white"

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the used part, in pixels; the same part for every size of the stored picture."""
        if self.share is None:
            scale = min(width / self.shape[2], height / self.shape[1])
            across, down = scale * self.shape[2], scale * self.shape[1]
        else:
            across = down = min(self.share * width, height)
        left, top = (width - across) / 2, (height - down) / 2
        return left, top, left + across, top + down

    def identity(self) -> dict[str, Any]:
        """The facts of the recipe that are part of the data id."""
        part = "largest centred part" if self.share is None else f"centred square of {self.share:.4f} of the width"
        background = {} if self.background == "white" else {"background": self.background}
        return {"crop": part, "resize": f"{self.resampling}, antialias"} | background

    def admit(self, image: Image.Image) -> None:
        """Accepts every format."""

    def fit(self, picture: Image.Image) -> np.ndarray:
        channels, height, width = self.shape
        if self.aspect and abs(picture.width / picture.height / self.aspect - 1.0) > 0.02:
            raise ValueError(f"{picture.width} x {picture.height} pixels are not in proportion {self.aspect:.3f}")
        picture = _converted(picture, "L" if channels == 1 else "RGB")
        left, top, right, bottom = self.box(*picture.size)
        corner = math.floor(left), math.floor(top)
        picture = picture.crop((*corner, math.ceil(right), math.ceil(bottom)))  # pixels outside have no influence
        box = left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]
        small = picture.resize((width, height), getattr(Image.Resampling, self.resampling.upper()), box)
        return np.asarray(small).reshape(height, width, channels)


def decode(content: bytes, fitting: Fitting) -> np.ndarray:
    """One picture as uint8 (H, W, C). Raises ValueError with the reason if it cannot be read or does not fit."""
    return fitting.fit(opened(content, fitting))


def opened(content: bytes, fitting: Fitting) -> Image.Image:
    """A picture as a viewer shows it: upright, opaque, mode L or RGB.

    Raises ValueError with the reason if it is damaged, too large, not 8 bits per channel or of several frames, or if it is
    transparent and the background is `refuse`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damage that Pillow ignores, and sizes that are refused below
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse(image)
                fitting.admit(image)
                image.load()
                return _opaque(_upright(image), BACKGROUNDS[fitting.background])
    except UnidentifiedImageError as error:
        raise ValueError(f"none of {', '.join(FORMATS)}") from error
    except ValueError:
        raise
    except Exception as error:  # parsers raise any kind for a damaged file
        reason = str(error).partition("\n")[0]
        raise ValueError(reason or type(error).__name__) from error


def _refuse(image: Image.Image) -> None:
    """Raise ValueError for a picture that is refused by its header: size, bits per channel, frames."""
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS:,} are read")
    if image.mode[0] in "IF":
        raise ValueError(f"{image.mode} pixels, expected 8 bits per channel")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format not in FIRST_ONLY:
        raise ValueError(f"{frames} frames in one file, expected one picture")


def _upright(image: Image.Image) -> Image.Image:
    """The picture turned by its EXIF orientation. Unreadable EXIF is ignored, as in every viewer."""
    if not EXIF.intersection(image.info):  # Pillow itself turns TIFF files, which have none of these keys
        return image
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:
        turn = None
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image, background: int | None) -> Image.Image:
    """Mode L or RGB, transparent pixels over a background of this level. Raises ValueError for them if it is None."""
    grey = image.mode in GREY
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3] != (255, 255):
            if background is None:
                raise ValueError("has transparent pixels (data.background=white, grey or black puts them on one)")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (*3 * (background,), 255)), image)
    return _converted(image, "L" if grey else "RGB")


def _converted(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)
