"""What is told apart: no image on both sides, equal preprocessing, and file sizes in bits."""

import io

import pytest
import torch
from PIL import Image

from genarena.data.digits import Digits
from genarena.spec import DataSpec
from genarena.tasks.detecting import codecs, sets
from genarena.tasks.detecting.sets import Examples, drawn, pair

SPEC = DataSpec((1, 8, 8), 17, 10)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup()
    return data


def test_a_transform_changes_images_that_are_not_inside(digits: Digits) -> None:
    inside, outside = pair(digits, "vflip", 10_000)
    assert len(inside) == len(outside) == digits.test.size // 2
    original = {each.numpy().tobytes() for each in outside.x.flip(-2)}
    test = {each.numpy().tobytes() for each in digits.test.x}
    assert original <= test and not original & set(inside.contents)
    few, _ = pair(digits, "vflip", 20)
    assert torch.equal(few.x, inside.x[:20])


def test_test_images_of_other_labels_are_outside(digits: Digits) -> None:
    three = Digits(spec=SPEC, only=3, max_test=20)
    three.setup()
    inside, outside = pair(three, "others", 10_000)
    labels = {each.numpy().tobytes(): int(y) for each, y in zip(digits.test.x, digits.test.y, strict=True)}
    assert len(inside) == len(outside) == 20 and {labels[each] for each in inside.contents} == {3}
    assert len({labels[each] for each in outside.contents}) > 4 and 3 not in {labels[each] for each in outside.contents}


@pytest.mark.parametrize("name", sets.TRANSFORMS)
def test_transforms_keep_shape_and_levels(name: str, digits: Digits) -> None:
    _, outside = pair(digits, name, 50)
    assert outside.x.shape == (50, 1, 8, 8) and outside.x.dtype == torch.uint8 and outside.x.max() <= 16
    assert torch.equal(outside.x, pair(digits, name, 50)[1].x)
    if name == "constant":
        assert (outside.x.flatten(1) == outside.x[:, 0, 0, :1]).all() and len(outside.x.unique()) > 10
    if name == "noise":
        assert outside.x.float().mean() == pytest.approx(8.0, abs=0.5)


def test_sets_that_do_not_fit_are_refused_without_their_files() -> None:
    sets.check("kmnist", DataSpec((1, 28, 28), 256))
    with pytest.raises(ValueError, match=r"against=cifar10: it has shape \(3, 32, 32\) and 256 levels, and the data"):
        sets.check("cifar10", SPEC)
    with pytest.raises(ValueError, match="against=vflp: there is no such data set or transform; did you mean vflip"):
        sets.check("vflp", SPEC)


def test_sizes_are_bits_of_files_that_give_the_image_back() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (4, 3, 16, 16), generator=generator, dtype=torch.uint8)
    for codec, options in codecs.CODECS.items():
        file = io.BytesIO()
        Image.fromarray(noise[0].permute(1, 2, 0).numpy()).save(file, **options)
        assert codecs.bits(noise, codec)[0] == 8 * len(file.getvalue())
        back = torch.from_numpy(__import__("numpy").array(Image.open(file)))
        assert torch.equal(back, noise[0].permute(1, 2, 0))  # lossless
        assert codecs.bits(noise, codec).min() > 0.98 * 8 * 3 * 256  # noise cannot be shorter than its 8 bits a value
        assert codecs.bits(torch.zeros_like(noise), codec).max() < 0.2 * 8 * 3 * 256
    assert not codecs.can_be_written(DataSpec((1, 8, 8), 300)) and not codecs.can_be_written(DataSpec((2, 8, 8), 17))


def test_a_draw_is_the_first_part_of_a_larger_one(digits: Digits) -> None:
    whole = drawn(digits.test, 0, 100, SPEC, "test")
    assert torch.equal(drawn(digits.test, 0, 30, SPEC, "test").x, whole.x[:30])
    assert isinstance(whole, Examples) and whole.unit.max() <= 1.0
