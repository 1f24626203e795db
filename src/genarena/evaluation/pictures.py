"""Draws samples: a grid of images, alone or beside their nearest training images, a scatter plot of 2-D points, or spectrograms
of sound.

A sample that is not finite is drawn as a cross; a scatter plot states how many there are.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genarena.errors import UserError, not_finite
from genarena.evaluation import figures
from genarena.evaluation.asked_pictures import asked_pictures
from genarena.evaluation.sounds import SHOWN, save_mels, save_spectrograms, save_wavs
from genarena.evaluation.titles import with_titles
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Encodes
from genarena.spec import Batch, DataSpec
from genarena.statistics.neighbours import nearest

NEIGHBOUR_ROWS, NEIGHBOURS = 10, 7
LABEL = 12  # height in pixels of a line of text below images
FRAME = 120  # milliseconds of a frame of a moving picture
MIN_SIDE = 28  # smaller images are enlarged by a whole factor


def grid(images: Tensor, spec: DataSpec, columns: int | None = None) -> Tensor:
    """Images (N, C, H, W) of integer levels to one uint8 picture (C, rows*(H+2)+2, columns*(W+2)+2), 2 pixels apart.

    Images narrower than 28 pixels are enlarged first. An image that is not finite is shown as a cross.
    """
    scale = max(1, math.ceil(MIN_SIDE / images.shape[-1]))
    broken = ~images.isfinite().flatten(1).all(1)
    images = spec.pictures(images.nan_to_num())
    images = images.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    num, channels, height, width = images.shape
    images[broken] = _cross(height, width)
    columns = columns or math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    canvas = torch.full((channels, rows * (height + 2) + 2, columns * (width + 2) + 2), 128, dtype=torch.uint8)
    for index in range(num):
        top, left = 2 + (index // columns) * (height + 2), 2 + (index % columns) * (width + 2)
        canvas[:, top : top + height, left : left + width] = images[index]
    return canvas


def _cross(height: int, width: int) -> Tensor:
    """White diagonals on black, uint8 (H, W)."""
    across, down = torch.linspace(-1.0, 1.0, width), torch.linspace(-1.0, 1.0, height)[:, None]
    return (((across.abs() - down.abs()).abs() < 0.1) * 255).to(torch.uint8)


def draw_samples(model: GenerativeModel, num_samples: int, given: Tensor | None, path: Path) -> Tensor:
    """Draw samples (N, *shape), and write them to a PNG; sound also to WAV files beside it. A model with labels gets a row per
    class, one with captions a row per caption, about `num_samples` images. Of sound there are a few samples only. given: the
    conditions of examples, for models that are conditional on others."""
    num_samples = min(num_samples, SHOWN) if model.spec.is_sound else num_samples
    asked = asked_pictures(model.spec.condition, num_samples, given)
    y = None if asked.y is None else asked.y.to(model.device)
    with torch.no_grad():
        samples = model.sample(num_samples if y is None else len(y), y).cpu()
    if model.spec.is_playable:
        save_sound(samples, model.spec, path, y)
    else:
        save_samples(samples, model.spec, path, asked.columns, asked.titles)
    return samples


def save_sound(samples: Tensor, spec: DataSpec, path: Path, given: Tensor | None, title: str = "sample") -> None:
    """Write the spectrograms of the first samples (N, 1, T) to a PNG, and the samples to WAV files beside it. given: what they
    were drawn for; mels are drawn below them. title: of each, before its number."""
    mels = given if spec.condition and spec.condition.kind == "mel" else None
    save_spectrograms(samples, spec, path, mels, title)
    save_wavs(samples[:SHOWN], spec, path)


def save_samples(
    samples: Tensor, spec: DataSpec, path: Path, columns: int | None = None, titles: Sequence[str] = ()
) -> None:
    """Write a PNG: a grid for images, a scatter plot for 2-D points, spectrograms for sound. titles: of the rows, or texts.
    Raises UserError for other data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if spec.is_image:
        picture = grid(samples, spec, columns)
        _save(with_titles(picture, titles) if titles else picture, path)
    elif spec.is_playable:
        save_spectrograms(samples, spec, path)
    elif spec.is_mel:
        save_mels(samples, spec, path, titles)
    elif spec.is_drawable:
        _scatter(samples.numpy(), path)
    else:
        raise UserError(f"samples of shape {spec.shape} cannot be drawn; write them to an .npz file")


def save_frames(frames: Tensor, spec: DataSpec, path: Path, columns: int | None = None) -> None:
    """Write a GIF that repeats for ever: a grid (N, C, H, W) per frame, of frames (F, N, C, H, W) of integer levels."""
    pages = [_image(grid(frame, spec, columns)) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    pages[0].save(path, format="GIF", save_all=True, append_images=pages[1:], duration=FRAME, loop=0)


def save_picture(image: Tensor, path: Path) -> None:
    """Write an image (C, H, W) in [0, 1], clamped, as a PNG of 8 bits."""
    _save((image.clamp(0.0, 1.0) * 255).round().to(torch.uint8), path)


def save_pairs(above: Tensor, below: Tensor, spec: DataSpec, path: Path) -> None:
    """Write a PNG of images `above` (N, C, H, W) in rows of 8; under each row stand the corresponding images of `below`."""
    rows = [part for pair in zip(above.split(8), below.split(8), strict=True) for part in pair]
    if len(rows) > 2 and len(rows[-1]) < 8:  # an incomplete last pair of rows is left out
        rows = rows[:-2]
    _save(grid(torch.cat(rows), spec, columns=min(8, len(above))), path)


def save_reconstructions(model: GenerativeModel, held_out: Batch, path: Path) -> bool:
    """Write a PNG of images (N, C, H, W), each row above its reconstructions. Returns False if the model has none."""
    if not (model.spec.is_image and isinstance(model, Encodes) and isinstance(model, Decodes)):
        return False
    x, y = held_out
    y = y.to(model.device) if model.spec.condition else None
    with torch.no_grad():
        save_pairs(x, model.decode(model.encode(x.to(model.device), y), y).cpu(), model.spec, path)
    return True


def save_progress(model: GenerativeModel, num_samples: int, held_out: Batch, path: Path) -> dict[str, Path]:
    """Write samples to `path` and, if the model encodes and decodes, reconstructions beside it. Returns the paths by name."""
    draw_samples(model, num_samples, held_out.y, path)
    pairs = path.with_name(f"{path.stem}-reconstructions.png")
    drawn = {"samples": path}
    return drawn | {"reconstructions": pairs} if save_reconstructions(model, held_out, pairs) else drawn


def save_neighbours(samples: Tensor, train: Tensor, spec: DataSpec, path: Path) -> None:
    """Write a PNG: in each row a sample, a gap, and the training images nearest to it, the nearest first.

    Distances are Euclidean, between pixel levels. Below each training image stands its distance, divided by that between a
    black and a white image. If a sample is a copy, its row's first two pictures are the same, and the distance is 0%. The row
    of a sample that is not finite has crosses only.
    """
    samples = samples[:NEIGHBOUR_ROWS]
    broken = ~samples.isfinite().flatten(1).all(1)
    distances, index = nearest(samples.nan_to_num(), train, k=min(NEIGHBOURS, len(train)))
    columns = 1 + index.shape[1]
    rows = torch.cat([samples[:, None], train[index]], 1)
    if broken.any():
        rows = rows.float().index_fill(0, broken.nonzero().squeeze(1), math.nan)
    side_by_side = grid(rows.flatten(0, 1), spec, columns)
    width = (side_by_side.shape[2] - 2) // columns
    gap = torch.full((*side_by_side.shape[:2], width // 4), 128, dtype=torch.uint8)
    picture = torch.cat([side_by_side[:, :, :width], gap, side_by_side[:, :, width:]], dim=2)
    shares = distances.double() / ((spec.num_levels - 1) * math.prod(spec.shape) ** 0.5)
    shares[broken] = math.nan
    _save(_with_distances(picture, shares, width, width + gap.shape[2]), path)


def _with_distances(picture: Tensor, shares: Tensor, width: int, left: int) -> Tensor:
    """The picture with a line of text below each row of images: `shares` (rows, columns) in percent; none where one is NaN.

    width: of an image with its margin; left: where the first column begins.
    """
    rows = (picture.shape[1] - 2) // len(shares)
    parts = []
    for images, values in zip(picture[:, :-2].split(rows, 1), shares.tolist(), strict=True):
        strip = Image.new("L", (picture.shape[2], LABEL), 255)
        for column, value in enumerate(values):
            text = "" if math.isnan(value) else f"{100 * value:.{0 if value >= 0.1 or value == 0 else 1}f}%"
            middle = left + (column + 0.5) * width, LABEL / 2
            ImageDraw.Draw(strip).text(middle, text, fill=0, anchor="mm", font_size=LABEL - 2)
        parts += [images, torch.from_numpy(np.array(strip)).expand(len(picture), -1, -1)]
    return torch.cat(parts, dim=1)


def _save(picture: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _image(picture).save(path, format="PNG")


def _image(picture: Tensor) -> Image.Image:
    array = picture.permute(1, 2, 0).numpy()
    return Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array)


def _scatter(points: np.ndarray, path: Path) -> None:
    drawn = figures.figure(4.0, 4.0)
    axes = drawn.add_subplot()
    axes.scatter(points[:, 0], points[:, 1], s=2)
    axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal")
    if broken := int((~np.isfinite(points)).any(axis=1).sum()):
        axes.set_title(not_finite(broken, len(points)))
    path.write_bytes(figures.png(drawn))
