"""Sprites: what is drawn is what the factors say, no image is in two splits, and nothing is held that can be made."""

import math

import pytest
import torch

from genarena.data.batches import Batches
from genarena.data.ground_truth import combinations, numbers_of
from genarena.data.reading.lazy import Lazy
from genarena.data.sprites import FACTORS, Sprites, draw_all, values
from genarena.data.sprites_small import SpritesSmall
from genarena.errors import DataError
from genarena.spec import DataSpec
from genarena.statistics.neighbours import nearest
from genarena.statistics.rows import content_order

SPEC = DataSpec((1, 64, 64), 2, 3)


@pytest.fixture(scope="module")
def sprites() -> Sprites:
    data = Sprites(SPEC)
    data.setup()
    return data


def test_every_combination_is_in_one_split(sprites: Sprites) -> None:
    counts = torch.zeros(tuple(FACTORS.values()), dtype=torch.long)
    for name in ("train", "val", "test"):
        counts.index_put_(tuple(sprites.factors[name].unbind(1)), torch.tensor(1), accumulate=True)
        assert len(sprites.factors[name]) == getattr(sprites, name).size
    assert math.prod(counts.shape) == 737_280
    assert (counts == 1).all()


def test_images_with_the_same_pixels_share_a_split(sprites: Sprites) -> None:
    """Orientation 0 and 2 pi look alike, as they do in dSprites."""
    first, last = (draw_all().view(3, 6, 40, 31, 31)[:, :, place] for place in (0, 39))
    assert torch.equal(first, last)
    where = torch.zeros(tuple(FACTORS.values()), dtype=torch.long)
    for number, name in enumerate(("train", "val", "test")):
        where[tuple(sprites.factors[name].unbind(1))] = number
    assert torch.equal(where[:, :, 0], where[:, :, 39])
    packed = {name: {row.tobytes() for row in getattr(sprites, name).x.numpy()} for name in ("val", "test")}
    assert not packed["val"] & packed["test"]
    shown = {row.tobytes() for row in sprites.train[torch.randperm(sprites.train.size)[:50_000]].x.numpy()}
    assert not shown & (packed["val"] | packed["test"])


def test_the_centre_of_a_square_or_ellipse_is_where_x_and_y_say(sprites: Sprites) -> None:
    chosen = torch.arange(0, sprites.train.size, 97)
    factors, images = sprites.factors["train"][chosen], sprites.train[chosen].x[:, 0].double()
    symmetric = factors[:, 0] < 2
    mass = images.sum((1, 2))
    column = (images.sum(1) * torch.arange(64)).sum(1) / mass
    row = (images.sum(2) * torch.arange(64)).sum(1) / mass
    assert (column - 16 - factors[:, 3])[symmetric].abs().max() < 1e-9
    assert (row - 16 - factors[:, 4])[symmetric].abs().max() < 1e-9
    assert images[:, [0, 63]].sum() == images[:, :, [0, 63]].sum() == 0  # none is cut off


def test_areas_and_angles_are_those_of_the_shapes() -> None:
    drawings = draw_all().view(3, 6, 40, 31, 31).double()
    radius = 15.5 * values("scale")
    area = drawings.sum((3, 4)).mean(2)
    unit = torch.tensor([2.0, math.pi / 2.0, 3.6595 / 1.25**2])  # of the square, ellipse and heart in the unit circle
    assert (area / (unit[:, None] * radius**2) - 1.0).abs().max() < 0.03
    offsets = torch.arange(-15.0, 16.0).double()
    ellipse = drawings[1, -1]
    across, along = ellipse * offsets**2, ellipse * offsets[:, None] ** 2
    tilt = -(ellipse * offsets * offsets[:, None]).sum((1, 2))  # rows count downwards
    angle = 0.5 * torch.atan2(2.0 * tilt, across.sum((1, 2)) - along.sum((1, 2)))
    difference = torch.remainder(angle - values("orientation") + math.pi / 2.0, math.pi) - math.pi / 2.0
    assert difference.abs().max() < math.radians(1.5)
    upright = drawings[2, -1, 0]
    assert torch.equal(upright, upright.flip(1))
    assert upright[15:].sum(1).argmax() < upright[15:].sum(1).argmin()  # the point of the heart is at the bottom


def test_label_and_factors_agree(sprites: Sprites) -> None:
    assert torch.equal(sprites.test.y, sprites.factors["test"][:, 0])
    assert torch.equal(
        combinations(torch.tensor([0, 1, 737_279]), FACTORS),
        torch.tensor([[0] * 5, [0, 0, 0, 0, 1], [2, 5, 39, 31, 31]]),
    )
    other = Sprites(SPEC, label="orientation")
    other.setup()
    assert torch.equal(other.val.y, other.factors["val"][:, 2])
    assert (other.spec.num_classes, sprites.spec.num_classes) == (40, 3)
    assert other.facts["id"] != sprites.facts["id"]
    with pytest.raises(DataError, match="data.label=colour: expected one of shape"):
        Sprites(SPEC, label="colour")


def test_training_images_are_made_per_batch_and_are_binary(sprites: Sprites) -> None:
    assert isinstance(sprites.train.x, Lazy)
    batch = next(iter(Batches(sprites.train, 64, shuffle=True, augment=sprites.augment)))
    assert (batch.x.shape, batch.x.dtype, batch.y.shape) == ((64, 1, 64, 64), torch.uint8, (64,))
    assert set(batch.x.unique().tolist()) == {0, 1}


def test_examples_made_on_request_are_searched_and_ordered_like_a_tensor(sprites: Sprites) -> None:
    few = Lazy(sprites.train.x.index[:5000], sprites.train.x.make)
    whole = few[:]
    assert few.shape == whole.shape
    for found, expected in zip(
        nearest(sprites.test.x[:3], few, k=2), nearest(sprites.test.x[:3], whole, k=2), strict=True
    ):
        assert torch.equal(found, expected)
    assert torch.equal(content_order(few), content_order(whole))
    assert [len(part) for part in few.split(2000)] == [2000, 2000, 1000]
    assert len(few.split(2000)) == 3
    own = few.split(2000)[1::2]  # the share of the second of two ranks
    assert (len(own), len(few.split(2000)[0::2])) == (1, 2)
    assert torch.equal(next(iter(own)), few[2000:4000])


def test_the_factors_of_a_cut_set_are_those_of_its_images() -> None:
    spec = DataSpec((1, 64, 64), 2)
    data, whole = Sprites(spec, max_train=50, max_test=20), Sprites(spec)
    data.setup(), whole.setup()
    assert (data.train.size, len(data.factors["train"]), data.test.size) == (50, 50, 20)
    assert data.facts["id"].startswith("sprites-train50-test20-")
    position = {tuple(row): place for place, row in enumerate(whole.factors["test"].tolist())}
    for row, x in zip(data.factors["test"].tolist(), data.test.x, strict=True):
        assert torch.equal(whole.test.x[position[tuple(row)]], x)


def test_every_combination_can_be_rendered(sprites: Sprites) -> None:
    rows = torch.arange(0, sprites.test.size, 53)
    assert torch.equal(sprites.render(sprites.factors["test"][rows]), sprites.test.x[rows])
    numbers = torch.arange(0, 737_280, 977)
    assert torch.equal(numbers_of(combinations(numbers, FACTORS), FACTORS), numbers)
    with pytest.raises(ValueError, match="factor orientation has values from 0 to 40: expected 0 to 39"):
        sprites.render(torch.tensor([[0, 0, 40, 0, 0], [0, 0, 0, 0, 0]]))
    with pytest.raises(ValueError, match=r"factors have shape \(1, 4\): expected \(N, 5\), shape, scale"):
        sprites.render(torch.zeros(1, 4, dtype=torch.long))


def test_small_sprites_are_sprites_at_half_the_size() -> None:
    small = SpritesSmall(DataSpec((1, 32, 32), 2, 3))
    small.setup()
    counts = torch.zeros(tuple(small.factor_sizes.values()), dtype=torch.long)
    for name in ("train", "val", "test"):
        counts.index_put_(tuple(small.factors[name].unbind(1)), torch.tensor(1), accumulate=True)
    assert (counts == 1).all() and counts.numel() == 92_160
    whole = small.render(combinations(torch.arange(92_160), small.factor_sizes))
    assert len({row.tobytes() for row in whole.numpy()}) == int(small.open().max()) + 1 == 77_312
    assert not whole[..., [0, -1]].any() and not whole[..., [0, -1], :].any()  # none is cut off
    symmetric = combinations(torch.arange(92_160), small.factor_sizes)
    images, chosen = whole[:, 0].double(), symmetric[:, 0] < 2
    mass = images.sum((1, 2))
    assert ((images.sum(1) * torch.arange(32)).sum(1) / mass - 8 - symmetric[:, 3])[chosen].abs().max() < 1e-9
    assert ((images.sum(2) * torch.arange(32)).sum(1) / mass - 8 - symmetric[:, 4])[chosen].abs().max() < 1e-9
    with pytest.raises(DataError, match="sprites_small are 1x32x32 with 2 levels, and data.spec has"):
        SpritesSmall(SPEC)
