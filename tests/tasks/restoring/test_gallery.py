"""Rows of the pictures."""

import torch

from genarena.data.batches import Split
from genarena.spec import DataSpec
from genarena.tasks.base import COLUMNS
from genarena.tasks.linear.degradations import degradation
from genarena.tasks.restoring.gallery import gallery, seen
from genarena.tasks.restoring.images import Images
from genarena.tasks.restoring.restored import Restored

X = torch.randint(0, 256, (4, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IMAGES = Images.of(Split(X), 4, DataSpec((3, 8, 8), 256))


def made(num_draws: int | None) -> Restored:
    draws = None if num_draws is None else torch.stack([IMAGES.x * k / num_draws for k in range(num_draws)], 1)
    return Restored(IMAGES.x if draws is None else draws.mean(1), draws, 0, 0.1)


def test_rows_are_named_and_filled_with_grey() -> None:
    problem = IMAGES.observed(degradation("inpaint_half"), 0)
    floor = "fill", IMAGES.x
    pictures, shown = gallery(IMAGES, problem, made(4), "smc", *floor)
    std = made(4).draws.std(1)
    white = f"standard deviation (white: {std.max().item():.2g})"
    assert shown == ["original", "observed", "draw 1", "draw 2", "draw 3", "smc, mean", white, "best floor: fill"]
    rows = pictures["restored.png"].unflatten(0, (len(shown), COLUMNS))
    assert torch.equal(rows[0, :4], torch.round(IMAGES.x * 255).to(torch.uint8))
    assert (rows[:, 4:] == 128).all()
    assert (rows[1, :4, :, 4:] == 128).all()  # missing
    assert rows[6].max() == 255
    assert gallery(IMAGES, problem, made(None), "one_step", *floor)[1] == [
        "original",
        "observed",
        "one_step",
        "best floor: fill",
    ]
    assert len(gallery(IMAGES, problem, made(1), "smc", *floor)[1]) == 5


def test_observations_of_another_size_are_shown_as_images() -> None:
    small = seen(IMAGES.observed(degradation("sr4"), 0))
    assert small.shape == IMAGES.x.shape and torch.equal(small[..., :4, :4], small[..., :1, :1].expand(-1, -1, 4, 4))
    grey = seen(IMAGES.observed(degradation("colorize"), 0))
    assert torch.equal(grey[:, 0], grey[:, 2])
    blurred = IMAGES.observed(degradation("denoise_0.1"), 0)
    assert torch.equal(seen(blurred), blurred.y)
