"""Reads images made elsewhere as levels: from an array file, or from a folder of pictures, without resizing.

An array file (.npz) holds levels, uint8 (N, C, H, W) or (N, H, W, C), under `samples` or as its only array. Picture files
are 8-bit: level k of L levels is stored as the grey or colour value round(255 k / (L - 1)).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genarena.data.reading.decoding import opened
from genarena.data.reading.folders import picture_names
from genarena.data.reading.pictures import Pictures, Sources
from genarena.errors import DataError
from genarena.files.boundary import reading
from genarena.files.progress import Bars
from genarena.spec import DataSpec

AT_ONCE = 128  # pictures per task of a worker


@dataclass(frozen=True)
class Exact:
    """A sample of the right size, as levels, never resized. A grey picture may stand for a colour one, and a colour picture
    with grey pixels only for a grey one.

    expected: for errors, the source of the expected size and colour. lossless: refuse formats that may change pixels.
    """

    shape: tuple[int, int, int]
    num_levels: int = 256
    expected: str = "the data"
    lossless: bool = True
    background: str = "white"

    LOSSLESS: ClassVar = ("PNG", "BMP", "TIFF", "PPM")
    LOSSY: ClassVar = ("jpeg", "tiff_jpeg", "webp", "jpeg2000")  # compressions inside a TIFF file

    def admit(self, image: Image.Image) -> None:
        if self.lossless and (image.format not in self.LOSSLESS or image.info.get("compression") in self.LOSSY):
            raise ValueError(
                f"samples in a format that may change pixels ({image.format}); expected PNG, BMP, TIFF, PPM or .npz"
            )

    def fit(self, picture: Image.Image) -> np.ndarray:
        channels, height, width = self.shape
        if picture.size != (width, height):
            raise ValueError(f"is {picture.width}x{picture.height} pixels, {self.expected} {width}x{height}")
        array = np.asarray(picture).reshape(height, width, -1)
        if array.shape[2] > channels:
            if (array != array[:, :, :1]).any():
                raise ValueError(f"is in colour, {self.expected} in grey")
            array = array[:, :, :1]
        return self._levels(np.broadcast_to(array, (height, width, channels)))

    def _levels(self, array: np.ndarray) -> np.ndarray:
        """Stored values to levels; level k of L is stored as round(255 k / (L - 1)). Raises ValueError for others."""
        if self.num_levels == 256:
            return array
        stored = np.round(np.arange(self.num_levels) * (255.0 / (self.num_levels - 1))).astype(np.uint8)
        levels = np.searchsorted(stored, array).clip(max=self.num_levels - 1)
        strange = array[stored[levels] != array]
        if strange.size:
            raise ValueError(
                f"has the value {strange[0]}, which is none of the {self.num_levels} levels of the data "
                f"({', '.join(map(str, stored[:3]))}, ...)"
            )
        return levels.astype(np.uint8)


def read_images(
    path: Path, spec: DataSpec | None = None, background: str = "white", lossless: bool = True, bars: Bars | None = None
) -> Tensor:
    """Levels (N, C, H, W), uint8, of a folder of pictures (with its subfolders, in the order of the names) or an .npz file.

    spec: the shape and levels that images must have; None: 256 levels and the shape of the first image. background: the
    colour behind transparent pixels. lossless: refuse formats that change pixels. Raises DataError in one line that names
    the file.
    """
    if path.is_dir():
        return _read_folder(path, spec, background, lossless, bars or Bars(shown=False))
    if not path.is_file():
        raise DataError(f"{path}: there is no such folder or file")
    if path.suffix != ".npz":
        raise DataError(f"{path}: expected a folder of pictures or an .npz file")
    return _read_array(path, spec)


def image_spec(images: Tensor) -> DataSpec:
    """The DataSpec of 8-bit images (N, C, H, W)."""
    return DataSpec(tuple(images.shape[1:]), 256)


def _read_folder(root: Path, spec: DataSpec | None, background: str, lossless: bool, bars: Bars) -> Tensor:
    names = picture_names(root)
    if not names:
        raise DataError(f"{root}: there are no pictures in that folder")
    sources = Sources(root, names)
    exact = (
        Exact(spec.shape, spec.num_levels, lossless=lossless, background=background)
        if spec
        else _like_the_first(sources, lossless, background)
    )
    images = torch.empty((len(names), *exact.shape), dtype=torch.uint8)
    parts = [slice(first, first + AT_ONCE) for first in range(0, len(names), AT_ONCE)]
    attempts = bars.track(Pictures(sources, exact).attempts(parts), f"reading {root}", len(parts))
    for part, (read, failures) in zip(parts, attempts, strict=True):
        for index, reason in failures:
            raise DataError(f"{root / names[index]}: {reason}")
        images[part] = read
    return images


def _like_the_first(sources: Sources, lossless: bool, background: str) -> Exact:
    """The `Exact` of the first picture's size and colour."""
    path = sources.folder / sources.names[0]
    any_size = Exact((1, 1, 1), 256, str(path), lossless, background)
    try:
        picture = opened(sources.read(0), any_size)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
    shape = (1 if picture.mode == "L" else 3, picture.height, picture.width)
    return Exact(shape, 256, str(path), lossless, background)


def _read_array(path: Path, spec: DataSpec | None) -> Tensor:
    with reading(path, "an array file"):
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise ValueError("it is an .npy file by its content: save it with numpy.savez")
        with loaded as file:
            names = file.files
            name = "samples" if "samples" in names else names[0] if len(names) == 1 else "arr_0"
            if name not in names:
                raise DataError(f"{path}: holds {', '.join(names) or 'nothing'}; expected an array named samples")
            array = file[name]
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or not array.size:
        raise DataError(f"{path}: {name} is {array.dtype} {array.shape}; expected uint8 images (N, C, H, W)")
    images = torch.from_numpy(array)
    images = images.unsqueeze(1) if images.dim() == 3 else images
    shape = tuple(images.shape[1:])
    channels_last = (
        shape[-1] in (1, 3) if spec is None else shape != spec.shape and (shape[2], *shape[:2]) == spec.shape
    )
    images = images.permute(0, 3, 1, 2).contiguous() if channels_last else images
    if spec is not None and tuple(images.shape[1:]) != spec.shape:
        raise DataError(f"{path}: the images are {shape}, and the data is (C, H, W) = {spec.shape}")
    if spec is not None and int(images.max()) >= spec.num_levels:
        raise DataError(f"{path}: holds level {int(images.max())}, and the data has levels 0 to {spec.num_levels - 1}")
    return images
