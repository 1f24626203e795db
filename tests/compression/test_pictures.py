"""PNG and WebP of the same images: lossless, and no larger than they need be."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from genarena.compression.pictures import FORMATS, encode, picture_bits_per_dim
from tests.compression.tiny import QUIET


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("shape", "num_levels"), [((1, 28, 28), 2), ((1, 8, 8), 17), ((1, 9, 7), 256), ((3, 16, 16), 256)]
)
def test_pictures_hold_the_same_levels(name: str, shape: tuple[int, ...], num_levels: int) -> None:
    torch.manual_seed(0)
    x = torch.randint(num_levels, (3, *shape), dtype=torch.uint8)
    sizes = []
    for image in x:
        content = encode(image, num_levels, name)
        picture = Image.open(io.BytesIO(content))
        assert picture.format == FORMATS[name]["format"]
        levels = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)[: shape[0]]
        scale = 255 if num_levels == 2 else 1  # Pillow shows a 1-bit picture in black and white
        assert np.array_equal(levels, image.numpy() * scale)
        sizes.append(len(content))
    assert picture_bits_per_dim(x, num_levels, name, QUIET) == pytest.approx(8 * sum(sizes) / x.numel())


def test_two_levels_take_one_bit() -> None:
    """Noise cannot be compressed: 128 x 128 pixels are 2 KB at 1 bit each, and 16 KB at 8."""
    noise = torch.randint(2, (1, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert len(encode(noise, 2, "png")) < 2048 + 200
    assert len(encode(noise, 2, "webp")) < 2048 + 600


def test_other_channels_have_no_picture() -> None:
    assert picture_bits_per_dim(torch.zeros(2, 2, 4, 4, dtype=torch.uint8), 17, "png", QUIET) is None
