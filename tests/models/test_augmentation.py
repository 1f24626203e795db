"""DiffAugment: what it does to pixels, that gradients pass, and that D sees it on real and fake images alike."""

import pytest
import torch
from torch import Tensor

from genarena.models.gan.augmentation import DiffAugment, cut_out, jitter_color, translate
from genarena.models.gan.sngan import SNGAN
from genarena.spec import Batch, DataSpec


def images(n: int, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, 8, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


def shifted(x: Tensor, dy: int, dx: int) -> Tensor:
    """x moved down by dy and right by dx, zeros coming in."""
    moved = torch.zeros_like(x)
    height, width = x.shape[-2:]
    moved[:, max(dy, 0) : height + dy, max(dx, 0) : width + dx] = x[
        :, max(-dy, 0) : height - dy, max(-dx, 0) : width - dx
    ]
    return moved


def test_translation_moves_whole_images_by_every_shift_within_reach() -> None:
    image = images(1)
    out = translate(image.expand(400, -1, -1, -1), 0.2)  # reach 2 of 8 rows and 2 of 10 columns
    found = set()
    for row in out:
        match = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if torch.equal(row, shifted(image[0], dy, dx))]
        assert len(match) == 1
        found.add(match[0])
    assert len(found) == 25


def test_cutout_erases_one_rectangle_and_leaves_the_rest() -> None:
    x = images(300)
    erased = cut_out(x, 0.5) != x
    assert torch.equal(erased.any(1), erased.all(1))
    rows, columns = erased[:, 0].any(2).sum(1), erased[:, 0].any(1).sum(1)
    assert torch.equal(erased[:, 0].sum((1, 2)), rows * columns)
    assert set(rows.tolist()) == {2, 3, 4} and set(columns.tolist()) == {3, 4, 5}  # sides 4 and 5, cut at edges
    assert erased[:, 0].any(0).all()


def test_color_is_an_affine_map_per_image_with_bounded_contrast() -> None:
    x = images(200, channels=1)
    out = jitter_color(x)
    pixels, mapped = x.flatten(1), out.flatten(1)
    slope = (mapped[:, 0] - mapped[:, 1]) / (pixels[:, 0] - pixels[:, 1])
    shift = mapped.mean(1) - pixels.mean(1)
    torch.testing.assert_close(
        mapped, slope[:, None] * (pixels - pixels.mean(1, keepdim=True)) + mapped.mean(1, keepdim=True)
    )
    assert 0.5 <= slope.min() < 0.6 and 1.4 < slope.max() <= 1.5
    assert -0.5 <= shift.min() < -0.4 and 0.4 < shift.max() <= 0.5


def test_saturation_scales_the_distance_from_grey() -> None:
    x, grey = images(100), images(100).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    torch.manual_seed(0)
    coloured = jitter_color(x)
    torch.manual_seed(0)
    without = jitter_color(grey)  # same brightness and contrast, no colour to scale
    ratio = (coloured - without) / (x - grey)
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio))
    assert ratio.min() >= 0.0 and ratio.max() <= 3.0 and ratio.max() > 1.5  # U(0, 2) times contrast U(0.5, 1.5)


def test_gradients_are_exact() -> None:
    augment = DiffAugment(translation=0.2)

    def repeatable(x: Tensor) -> Tensor:
        torch.manual_seed(3)
        return augment(x)

    assert torch.autograd.gradcheck(repeatable, images(2)[..., :5, :6].requires_grad_())


def test_off_is_the_identity() -> None:
    x = images(4)
    assert DiffAugment(color=False, translation=0.0, cutout=0.0)(x) is x


def test_shares_outside_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cutout=1\.0"):
        DiffAugment(cutout=1.0)


def test_the_discriminator_sees_nothing_but_augmented_images() -> None:
    """An augmentation that blanks everything leaves real and fake with one score, in both losses."""
    torch.manual_seed(0)
    spec = DataSpec((1, 8, 8), 17)
    model = SNGAN(spec, generator_channels=4, discriminator_channels=4).eval()
    batch = Batch(torch.randint(0, 17, (6, 1, 8, 8), dtype=torch.uint8))
    model.augmentation = torch.zeros_like
    score = model.discriminator(torch.zeros(1, 1, 8, 8))[0]
    terms = model.discriminator_loss(batch)
    torch.testing.assert_close(torch.stack([terms["real"], terms["fake"]]), score.expand(2))
    torch.testing.assert_close(model.generator_loss(batch)["loss"], -score)
