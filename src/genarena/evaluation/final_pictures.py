"""The pictures of a finished run: its samples, the training images nearest to them, and reconstructions."""

from pathlib import Path

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.evaluation.pictures import (
    draw_samples,
    save_neighbours,
    save_reconstructions,
    save_samples,
    save_sound,
)
from genarena.evaluation.settings import EvaluationSettings
from genarena.models.base import GenerativeModel
from genarena.ranks import seeds
from genarena.spec import Batch

GRID = 64  # images in final.png


def save_final(
    model: GenerativeModel,
    data: ArenaDataModule,
    settings: EvaluationSettings,
    seed: int,
    fake: Tensor | None,
    folder: Path,
) -> None:
    """Write `final.png`, `neighbours.png` and `reconstructions.png`, each where the data and the model allow it; of sound also
    WAV files, and `real.png` with those of the test examples whose mels the samples were drawn for.

    seed: of the run.
    fake: the samples (N, *shape) of the evaluation; None: some are drawn. A conditional model's are drawn again, by class.
    """
    spec = data.spec
    held_out = getattr(data, settings.split)[:GRID].batch(spec.condition)
    if fake is not None and spec.is_playable:  # samples of the evaluation have the conditions of examples in turn
        save_sound(fake, spec, folder / "final.png", held_out.y)
    elif spec.is_drawable and (fake is None or spec.condition):
        torch.manual_seed(seeds.derived(settings.sample_seed, seed))
        drawn = draw_samples(model, GRID, held_out.y, folder / "final.png")
        fake = drawn if fake is None else fake
    elif spec.is_drawable:
        save_samples(fake[: GRID if spec.is_image else None], spec, folder / "final.png")
    if spec.is_playable:
        save_sound(held_out.x, spec, folder / "real.png", None, title="real")
    if spec.is_image and spec.is_discrete and data.shown_beside_samples is not None:
        save_neighbours(fake, data.shown_beside_samples, spec, folder / "neighbours.png")
    halves = (None if part is None else part[: GRID // 2] for part in held_out)
    save_reconstructions(model, Batch(*halves), folder / "reconstructions.png")
