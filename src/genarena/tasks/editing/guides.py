"""Guides: rough images that say what is wanted. Blocks of colour, real images, or a user's own picture."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

BLOCK = 4  # pixels along a side


def blocks(unit: Tensor) -> Tensor:
    """Images (N, C, H, W) in blocks of 4 x 4 pixels of one colour, their mean. Raises ValueError for other sides."""
    height, width = unit.shape[2:]
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"guides=blocks: {height}x{width} pixels cannot be cut into blocks of {BLOCK}x{BLOCK}")
    coarse = torch.nn.functional.avg_pool2d(unit, BLOCK)
    return coarse.repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)


def check(path: str, channels: int) -> None:
    """Raise ValueError for a file that is no picture, or has transparent pixels."""
    try:
        with Image.open(path) as picture:
            picture.load()
            clear = "A" in picture.getbands() or "transparency" in picture.info
    except (OSError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "it is no picture that can be read"
        raise ValueError(f"guide={path}: {reason}") from error
    if clear:
        raise ValueError(f"guide={path}: has transparent pixels; give a picture without them")
    if channels not in (1, 3):
        raise ValueError(f"guide={path}: the images of this run have {channels} channels, and a picture has 1 or 3")


def read(path: str, shape: tuple[int, ...]) -> Tensor:
    """The picture (1, C, H, W) in [-1, 1]: its centre of the aspect of the images, resized (bicubic), grey if they are."""
    channels, height, width = shape
    with Image.open(path) as picture:
        image = picture.convert("L" if channels == 1 else "RGB")
    share = min(image.width / width, image.height / height)
    across, down = share * width, share * height
    left, top = (image.width - across) / 2.0, (image.height - down) / 2.0
    box = left, top, left + across, top + down
    array = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))
    return torch.from_numpy(array.copy()).view(height, width, channels).permute(2, 0, 1)[None].float() / 127.5 - 1.0


def digest(path: str) -> str:
    """A hash of the file, 8 hex digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]
