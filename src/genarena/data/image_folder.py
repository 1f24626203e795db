"""Your own pictures: a folder of image files; the first level of subfolders, where there is one, names the classes."""

import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from rich.progress import track
from torch import Tensor

from genarena.data.base import ArenaDataModule, DataError, Split, seeded_split
from genarena.spec import DataSpec

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class ImageFolder(ArenaDataModule):
    """Shorter side resized to `spec.shape` (bicubic with antialiasing), centre crop, 8 bits; grey or RGB by its channels.

    A tenth of the pictures each is kept for validation and test, drawn with a fixed seed over the sorted paths.
    flip: training pictures are mirrored with probability 1/2.
    """

    name = "image_folder"

    def __init__(self, spec: DataSpec, batch_size: int = 128, seed: int = 0, root: str = "data",
                 num_val: int | None = None, image_size: int = 32, channels: int = 3, flip: bool = False) -> None:  # fmt: skip
        super().__init__(spec, batch_size, seed, root, num_val)
        if channels not in (1, 3) or spec.shape != (channels, image_size, image_size):
            raise DataError(f"data.channels={channels}, data.image_size={image_size}: expected 1 or 3 channels and "
                            f"the shape of data.spec, {spec.shape}")  # fmt: skip
        self.flip = flip

    def load(self) -> tuple[Split, Split, Split]:
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"data.root={root}: there is no such folder")
        paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if len(paths) < 10:
            raise DataError(
                f"data.root={root}: {len(paths)} pictures found ({', '.join(sorted(SUFFIXES))}), 10 are needed"
            )
        classes = sorted({path.relative_to(root).parts[0] for path in paths if path.parent != root})
        labelled = len(classes) > 1 and all(path.parent != root for path in paths)
        labels = torch.tensor([classes.index(path.relative_to(root).parts[0]) for path in paths]) if labelled else None
        self.spec = replace(self.spec, num_classes=len(classes) if labelled else None)
        tenth = max(1, len(paths) // 10)
        return seeded_split(Split(self._decode(paths), labels), val=tenth, test=tenth)

    def _decode(self, paths: list[Path]) -> Tensor:
        images = torch.empty((len(paths), *self.spec.shape), dtype=torch.uint8)
        with ThreadPoolExecutor() as pool:
            decoded: Iterable[Tensor] = pool.map(lambda path: decode(path, self.spec.shape), paths)
            for index, image in enumerate(track(decoded, "reading pictures", len(paths), transient=True)):
                images[index] = image
        return images

    def identity(self) -> dict[str, Any]:
        return {"resize": "shorter side, bicubic, antialias", "crop": "centre"}


def decode(path: Path, shape: tuple[int, int, int]) -> Tensor:
    """One file as uint8 (C, H, W). Raises DataError naming the file when it is missing, damaged or absurdly large."""
    channels, height, width = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                picture = image.convert("L" if channels == 1 else "RGB")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombWarning,
            Image.DecompressionBombError) as error:  # fmt: skip
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    scale = max(width / picture.width, height / picture.height)
    size = max(width, round(picture.width * scale)), max(height, round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    array = np.asarray(picture.crop((left, top, left + width, top + height)))
    return torch.from_numpy(array.copy()).reshape(height, width, channels).permute(2, 0, 1)
