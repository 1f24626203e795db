"""A user's own picture as an observation y, and its mask."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.picture_set import PictureSet
from genarena.data.reading.decoding import Recipe, opened
from genarena.data.reading.pictures import MAX_BYTES
from genarena.errors import UserError
from genarena.files.boundary import first_line
from genarena.files.regular import read_regular
from genarena.tasks.linear.degradations import Degradation, degradation, refusal
from genarena.tasks.linear.mask import Mask

WHITE = 128  # grey levels of a mask from here on are white: missing
SAME = "as it is"


@dataclass(frozen=True)
class Observation:
    """y (1, *observed_shape) in [0, 1]; degraded: how it came about. fitted: what was done to the picture to fit, in words.
    kept: bool (1, C, H, W), the pixels that a mask leaves, or None."""

    y: Tensor
    degraded: Degradation
    fitted: str
    kept: Tensor | None = None


def observation(
    data: ArenaDataModule,
    picture: str,
    mask: str | None,
    name: str | None,
    sigma: float | None,
    background: str = "refuse",
) -> Observation:
    """From a file. data: the set of the model, which need not be read. name: of a degradation, where there is no mask.

    Raises UserError for files that are no pictures, a mask of another size, or a degradation that does not fit.
    """
    shape = tuple(data.spec.shape)
    if not (data.spec.is_image and data.spec.is_discrete):
        raise UserError(f"needs a model of images of integer levels, and the data of this run has shape {shape}")
    degraded = _degradation(shape, mask, name, sigma)
    image = read(picture, "picture", background)
    if mask is None:
        recipe = recipe_for(data, degraded.operator(shape, [b""], 0).observed_shape, image)
        operator = degraded.operator(shape, [b""], 0)
        return Observation(_tensor(recipe.fit(image)) * operator.observed, degraded, words(image, recipe))
    holes = read_mask(mask)
    if holes.size != image.size:
        sizes = "{} x {} pixels, and the picture has {} x {}".format(*holes.size, *image.size)
        raise UserError(f"mask={mask}: has {sizes}")
    recipe = recipe_for(data, shape, image)
    kept = ~missing(holes, recipe).expand(1, *shape)
    if kept.all():
        raise UserError(f"mask={mask}: nothing is missing: no pixel is white")
    degraded = replace(degraded, operator=lambda shape, contents, seed: Mask(kept))
    return Observation(_tensor(recipe.fit(image)) * kept, degraded, words(image, recipe), kept)


def _degradation(shape: tuple[int, ...], mask: str | None, name: str | None, sigma: float | None) -> Degradation:
    if (mask is None) == (name is None):
        raise UserError("expected one of mask=<file> and degradation=<name>")
    if name == "denoise":
        if not sigma:
            raise UserError(
                "degradation=denoise: needs sigma=, the standard deviation of the noise, above 0, at most 1"
            )
        name = f"denoise_{sigma:g}"
    if name == "inpaint_random":
        raise UserError("degradation=inpaint_random: the missing pixels of a picture are those of mask=<file>")
    if reason := refusal(name or "inpaint_center", shape):
        raise UserError(f"degradation={reason}")
    found = degradation(name or "inpaint_center")
    return replace(found, name=name or "mask", sigma=found.sigma if sigma is None else sigma)


def read(path: str, option: str, background: str) -> Image.Image:
    """A picture as a viewer shows it. Raises UserError in one line with the option and the file."""
    try:
        return opened(read_regular(path, MAX_BYTES), Recipe((3, 1, 1), background=background))
    except (OSError, ValueError) as error:
        reason = first_line(error).replace("data.background", "background").removesuffix(f": '{path}'")
        raise UserError(f"{option}={path}: cannot be read as a picture: {reason}") from error


def read_mask(path: str) -> Image.Image:
    """A picture without transparent pixels: editors differ in whether those are missing. Raises UserError."""
    try:
        return read(path, "mask", "refuse")
    except UserError as error:
        if "transparent pixels" not in str(error):
            raise
        reason = "has transparent pixels: expected white where pixels are missing, and black elsewhere"
        raise UserError(f"mask={path}: {reason}") from error


def recipe_for(data: ArenaDataModule, shape: tuple[int, ...], image: Image.Image) -> Recipe:
    """A picture of the size of y is taken as it is, another one as pictures of the data set are."""
    if image.size == (shape[2], shape[1]) or not isinstance(data, PictureSet):
        return Recipe(shape)
    return replace(data.recipe(), shape=shape, aspect=None)


def words(image: Image.Image, recipe: Recipe) -> str:
    """What a recipe does to a picture."""
    channels, height, width = recipe.shape
    box = recipe.box(*image.size)
    done = []
    if (box[2] - box[0], box[3] - box[1]) != image.size:
        done.append(f"cut from {image.width} x {image.height} to its centred {box[2] - box[0]:g} x {box[3] - box[1]:g}")
    if (box[2] - box[0], box[3] - box[1]) != (width, height):
        done.append(f"resized to {width} x {height} ({recipe.resampling})")
    if image.mode != ("L" if channels == 1 else "RGB"):
        done.append("turned to grey" if channels == 1 else "turned from grey to RGB")
    return ", ".join(done) or SAME


def missing(holes: Image.Image, recipe: Recipe) -> Tensor:
    """bool (1, 1, H, W): pixels that a missing one had a part in when the picture was resized."""
    height, width = recipe.shape[1:]
    white = np.asarray(holes.convert("L")) >= WHITE
    left, top, right, bottom = recipe.box(*holes.size)
    corner = math.floor(left), math.floor(top)
    part = Image.fromarray(white.astype(np.float32)).crop((*corner, math.ceil(right), math.ceil(bottom)))
    box = left - corner[0], top - corner[1], right - corner[0], bottom - corner[1]
    share = part.resize((width, height), getattr(Image.Resampling, recipe.resampling.upper()), box)
    return torch.from_numpy(np.abs(np.asarray(share)) > 1e-4)[None, None]


def _tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (H, W, C) to (1, C, H, W) float64 in [0, 1]."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].double() / 255.0
