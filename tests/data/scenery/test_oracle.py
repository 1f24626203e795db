"""The judge of pictures: exact on drawn scenes, wrong scenes fail, and how much noise and blur it bears."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from genarena.data.scenery.arrangement import SORTS, arrange
from genarena.data.scenery.drawing import draw, mask
from genarena.data.scenery.oracle import read
from genarena.data.scenery.things import BACKGROUND, COLOURS, Thing, rows, things

NUM = 200


@pytest.fixture(scope="module")
def scenes() -> np.ndarray:
    rng, every = np.random.default_rng(0), np.ones((5, 7), bool)
    return np.concatenate([arrange(sort, NUM // len(SORTS), rng, every) for sort in SORTS])


def right(pictures: Tensor, scenes: np.ndarray, lenient: bool = False) -> float:
    """Share of the pictures in which exactly the objects of the scene are found, and where they are."""
    found = read(pictures, lenient).scenes
    return np.mean([Counter(one) == Counter(things(scene)) for one, scene in zip(found, scenes, strict=True)])


def noisy(pictures: Tensor, sd: float) -> Tensor:
    drawn = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    return (pictures.float() + sd * drawn).round().clamp(0, 255).to(torch.uint8)


def blurred(pictures: Tensor, sd: float) -> Tensor:
    return torch.from_numpy(ndimage.gaussian_filter(pictures.numpy().astype(np.float32), (0, 0, sd, sd))).to(
        torch.uint8
    )


def test_a_drawing_has_the_pixels_of_its_masks() -> None:
    scene = [Thing("circle", "red", "small", 5, 9), Thing("square", "white", "large", 20, 20)]
    picture = draw(rows(scene)[None])[0]
    background = torch.tensor(BACKGROUND)[:, None, None]
    assert int((picture != background).any(0).sum()) == 37 + 121
    assert (picture[:, 15:26, 15:26] == 255).all()
    assert picture[:, 9, 5].tolist() == list(COLOURS["red"])
    assert [int(mask(shape, 5).sum()) for shape in ("circle", "square", "triangle", "cross", "ring")] == [
        89,
        121,
        61,
        57,
        52,
    ]


@pytest.mark.parametrize("lenient", [False, True])
def test_drawn_scenes_are_read_without_a_mistake(scenes: np.ndarray, lenient: bool) -> None:
    assert right(draw(scenes), scenes, lenient) == 1.0
    assert not read(draw(scenes), lenient).unread.any()


def test_objects_at_every_place_and_alone_are_read() -> None:
    """Every kind in the corners, where a mask is as near to the border as it comes."""
    kinds = [(shape, colour, size) for shape in range(5) for colour in range(7) for size in range(2)]
    scenes = np.full((2 * len(kinds), 4, 5), -1)
    for number, (shape, colour, size) in enumerate(kinds):
        radius = (3, 5)[size]
        scenes[2 * number, 0] = shape, colour, size, radius, 31 - radius
        scenes[2 * number + 1, 0] = shape, colour, size, 31 - radius, radius
    assert right(draw(scenes), scenes) == right(draw(scenes), scenes, True) == 1.0


def test_noise_and_blur(scenes: np.ndarray) -> None:
    """Rates of 200 scenes; the lenient reading bears blur and fading that the strict one does not."""
    pictures = draw(scenes)
    assert right(noisy(pictures, 24), scenes) == 1.0
    assert right(noisy(pictures, 40), scenes) > 0.85
    assert right(blurred(pictures, 0.5), scenes) == 1.0
    assert right(blurred(pictures, 0.8), scenes) < 0.8
    assert right(blurred(pictures, 1.2), scenes) < 0.3
    assert right(noisy(pictures, 24), scenes, True) > 0.9
    assert right(blurred(pictures, 0.8), scenes, True) > 0.95
    assert right(blurred(pictures, 1.2), scenes, True) > 0.9
    faded = (torch.tensor(BACKGROUND)[:, None, None] * 0.3 + 0.7 * pictures).to(torch.uint8)
    assert right(faded, scenes, True) > 0.95 > 0.6 > right(faded, scenes)


def test_what_is_no_object_is_not_read() -> None:
    pictures = torch.tensor(BACKGROUND, dtype=torch.uint8)[:, None, None].repeat(4, 1, 32, 32)
    pictures[1] = 255  # one white area
    pictures[2, 0, 10:12, 3:30] = 255  # a long bar
    pictures[3, 0, 5, 5] = 255  # a speck
    for lenient in (False, True):
        reading = read(pictures, lenient)
        assert reading.scenes == [[]] * 4
        assert reading.unread.tolist() == [0, 1, 1, 0]
    assert read(pictures[:0]).scenes == []
    with pytest.raises(ValueError, match=r"pictures of shape \(1, 32, 32\): expected \(3, 32, 32\)"):
        read(pictures[:, :1])


def test_a_reading_does_not_depend_on_the_other_pictures(scenes: np.ndarray) -> None:
    pictures = noisy(draw(scenes[::10]), 40)
    for lenient in (False, True):
        together = read(pictures, lenient).scenes
        assert [read(one[None], lenient).scenes[0] for one in pictures] == together
