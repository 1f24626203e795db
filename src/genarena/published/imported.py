"""Images made elsewhere, scored by the protocol of the table: they stand where a model's own samples would.

An array file (.npz) holds levels as they are on the wire, uint8 (N, C, H, W) or (N, H, W, C), under `samples` or as its
only array. Picture files are 8-bit: level k of an alphabet of L levels is the grey or colour value round(255 k / (L - 1)).
"""

import re
import time
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genarena import config
from genarena.data.base import ArenaDataModule, Split
from genarena.errors import DataError, UserError
from genarena.evaluation.evaluate import evaluate, load_metric, needed, protocol
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.runs import results
from genarena.spec import Batch, DataSpec

FAMILY = "imported"
LOSSLESS = {".png", ".bmp", ".tif", ".tiff"}
LOSSY = {".jpg", ".jpeg", ".webp", ".gif"}  # or may be
MODES = {"1": 1, "L": 1, "P": 3, "RGB": 3, "RGBA": 3, "LA": 1}  # of Pillow, 8 bits at most -> channels


class ImportedSamples(GenerativeModel):
    """Hands out given images (N, C, H, W) in their order, each once."""

    family = FAMILY
    likelihood = Likelihood.NONE
    paper = ""

    def __init__(self, images: Tensor, spec: DataSpec) -> None:
        super().__init__(spec)
        self.images, self.handed_out = images, 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        raise TypeError("images made elsewhere have no loss")

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """The next `num_samples` images; raises ValueError when there are not so many left."""
        part = self.images[self.handed_out : self.handed_out + num_samples]
        if len(part) < num_samples:
            raise ValueError(f"{num_samples} more images were asked for, {len(part)} are left")
        self.handed_out += num_samples
        return part


class ImportedReference(ArenaDataModule):
    """Given images (N, C, H, W) as what samples are compared with. There are no labels and nothing to train on."""

    name = "reference"

    def __init__(self, images: Tensor, spec: DataSpec) -> None:
        super().__init__(spec)
        self.images = images

    def load(self) -> tuple[Split, Split, Split]:
        return Split(self.images), Split(self.images), Split(self.images)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_images(path: Path, spec: DataSpec | None = None, lossless: bool = True, bars: Bars | None = None) -> Tensor:
    """Levels (N, C, H, W), uint8, of a folder of pictures (with its subfolders, in the order of the names) or an .npz file.

    spec: what the images must look like; without one, all like the first, with 256 levels.
    lossless: refuse formats that change pixels. Raises DataError in one line that names the file.
    """
    if path.is_dir():
        return _read_folder(path, spec, lossless, bars or Bars(shown=False))
    if not path.is_file():
        raise DataError(f"{path}: there is no such folder or file")
    if path.suffix != ".npz":
        raise DataError(f"{path}: expected a folder of pictures or an .npz file")
    return _read_array(path, spec)


def image_spec(images: Tensor) -> DataSpec:
    """Of 8-bit images (N, C, H, W)."""
    return DataSpec(tuple(images.shape[1:]), 256)


def _read_array(path: Path, spec: DataSpec | None) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            name = "samples" if "samples" in names else names[0] if len(names) == 1 else "arr_0"
            if name not in names:
                raise DataError(f"{path}: holds {', '.join(names) or 'nothing'}; expected an array named samples")
            array = file[name]
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as an array file: {str(error).splitlines()[0]}") from error
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


def _read_folder(root: Path, spec: DataSpec | None, lossless: bool, bars: Bars) -> Tensor:
    paths = sorted(path for path in root.rglob("*") if path.suffix.lower() in LOSSLESS | LOSSY and path.is_file())
    lossy = [path for path in paths if path.suffix.lower() in LOSSY]
    if lossless and lossy:
        raise DataError(f"{lossy[0]}: samples in a format that may change pixels; expected .png, .bmp, .tif or .npz")
    if not paths:
        raise DataError(f"{root}: there are no pictures in that folder")
    first = _decode(paths[0])
    shape = spec.shape if spec else (first.shape[2], *first.shape[:2])
    images = np.empty((len(paths), *shape), np.uint8)
    with ThreadPoolExecutor() as pool:
        arrays: Iterable[np.ndarray] = pool.map(_decode, paths)
        for index, array in enumerate(bars.track(arrays, f"reading {root}", len(paths))):
            images[index] = _fitted(array, shape, paths[index], "the data" if spec else paths[0])
            if spec and spec.num_levels != 256:
                images[index] = _levels(images[index], spec.num_levels, paths[index])
    return torch.from_numpy(images)


def _decode(path: Path) -> np.ndarray:
    """(H, W, 1 or 3) uint8."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
    except (
        OSError,
        UnidentifiedImageError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:
        raise DataError(f"{path} cannot be read as a picture: {str(error).splitlines()[0]}") from error
    if image.mode not in MODES:
        raise DataError(f"{path}: is a picture of mode {image.mode}; expected 8 bits, grey or RGB")
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() != (255, 255):
        raise DataError(f"{path}: has transparent pixels")
    array = np.asarray(image.convert("L" if MODES[image.mode] == 1 else "RGB"))
    return array if array.ndim == 3 else array[:, :, None]


def _fitted(array: np.ndarray, shape: Sequence[int], path: Path, model: object) -> np.ndarray:
    """(H, W, C) to `shape` (C, H, W); grey is repeated, and colours that are all grey become grey."""
    if array.shape[:2] != tuple(shape[1:]):
        raise DataError(f"{path}: is {array.shape[1]}x{array.shape[0]} pixels, {model} {shape[2]}x{shape[1]}")
    if array.shape[2] > shape[0]:
        if (array != array[:, :, :1]).any():
            raise DataError(f"{path}: is in colour, {model} in grey")
        array = array[:, :, :1]
    return np.broadcast_to(array.transpose(2, 0, 1), shape)


def _levels(image: np.ndarray, num_levels: int, path: Path) -> np.ndarray:
    grey = np.round(np.arange(num_levels) * (255.0 / (num_levels - 1))).astype(np.uint8)
    levels = np.searchsorted(grey, image).clip(max=num_levels - 1)
    strange = image[grey[levels] != image]
    if strange.size:
        raise DataError(
            f"{path}: has the value {strange[0]}, which is none of the {num_levels} levels of the data "
            f"({', '.join(map(str, grey[:3]))}, ...)"
        )
    return levels.astype(np.uint8)


# -- scoring -----------------------------------------------------------------------------------------------------------


def about_images(metric: str) -> bool:
    """Whether a metric asks for nothing that only the model could give."""
    return all(name.startswith(("real", "fake", "train", "spec")) for name in needed(load_metric(metric)))


def check_askable(metrics: Sequence[str], has_training_set: bool) -> None:
    """Raise UserError when images alone cannot answer for one of the metrics."""
    for name in metrics:
        if not about_images(name):
            raise UserError(
                f"metrics={name}: asks for {needed(load_metric(name))[0]}, which a model has and images do not"
            )
        if not has_training_set and {"train", "train_features"} & set(needed(load_metric(name))):
            raise UserError(f"metrics={name}: needs the training set, which a reference is not; take data=<name>")


def score(
    images: Tensor, data: ArenaDataModule, metrics: Sequence[str], settings: EvaluationSettings
) -> dict[str, dict[str, Any]]:
    """Records of the metrics on the first `settings.num_samples` images; null for what only a model could give."""
    if len(images) < settings.num_samples:
        raise UserError(f"there are {len(images):,} images, and the protocol takes {settings.num_samples:,}")
    answerable = [name for name in metrics if about_images(name)]
    model = ImportedSamples(images, data.spec).eval()
    found = evaluate(model, data, answerable, settings).metrics
    missing = {"value": None, "reason": "the images were made elsewhere: there is no model to ask"}
    return {name: found.get(name, missing) for name in metrics}


def check_name(name: str) -> None:
    """Raise UserError for a name that cannot be a folder or is a model's of genarena."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}", name):
        raise UserError(f"name={name}: expected letters, digits and . _ + -")
    if name in config.available("model"):
        raise UserError(f"name={name}: is a model of genarena; images made elsewhere need a name of their own")


def imported_row(
    name: str,
    data: ArenaDataModule,
    metrics: dict[str, dict[str, Any]],
    settings: EvaluationSettings,
    budget: dict[str, Any],
    seed: int,
    run: str,
) -> dict[str, Any]:
    """A row of the leaderboard, marked `imported`; what the training cost is not known and stays null."""
    return {
        "schema_version": results.SCHEMA_VERSION,
        "status": "ok",
        "imported": True,
        "model": name,
        "family": FAMILY,
        "paper": "",
        "data": {**data.facts, "split": "test"},
        "protocol": protocol(list(metrics), settings),
        "budget": {key: budget[key] for key in ("name", "minutes", "examples")},
        "seed": seed,
        "overrides": [],
        "likelihood": str(Likelihood.NONE),
        "metrics": metrics,
        "cost": {
            "examples_seen": None,
            "train_seconds": None,
            "parameters": None,
            "sample_seconds_per_image": None,
            "peak_memory_mb": None,
        },
        **results.environment(),
        "run": run,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
