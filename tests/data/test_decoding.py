"""One picture: which part is taken, and what is refused."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from genarena.data.reading import decoding
from genarena.data.reading.decoding import Recipe, decode


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def test_the_share_of_the_width_is_the_published_centre_crop() -> None:
    picture = noise(178, 218)
    expected = picture.crop((15, 35, 163, 183)).resize((64, 64), Image.Resampling.BILINEAR)
    found = decode(encoded(picture), Recipe((3, 64, 64), 148 / 178, 178 / 218, "bilinear"))
    assert np.array_equal(found, np.asarray(expected))


def test_a_halved_copy_gives_the_same_part() -> None:
    recipe = Recipe((3, 8, 8), 148 / 178, 178 / 218)
    assert recipe.box(89, 109) == tuple(edge / 2 for edge in recipe.box(178, 218))


def test_without_a_share_the_largest_centred_part_is_taken() -> None:
    assert Recipe((3, 16, 16)).box(40, 30) == (5, 0, 35, 30)
    assert Recipe((1, 10, 20)).box(40, 30) == (0, 5, 40, 25)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be huge."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (bomb(12_000, 12_000), "144000000 pixels"),
        (bomb(8_500, 8_500), "at most 64,000,000"),  # below the size at which Pillow speaks up
        (bomb(60_000, 60_000), "3600000000 pixels"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "none of PNG, JPEG"),
        (b"<html>quota exceeded</html>", "none of PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of PNG"),  # Pillow would start ghostscript
        (b"", "none of PNG"),
        (encoded(noise(20, 20))[:-30], "truncated"),
        (encoded(noise(64, 64), "JPEG")[:900], "truncated"),
        (encoded(Image.new("I;16", (8, 8))), "I;16 pixels"),
    ],
    ids=["bomb", "small bomb", "large bomb", "svg", "html", "eps", "empty", "png", "jpeg", "16 bits"],
)
def test_refused(content: bytes, words: str) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=words):
            decode(content, Recipe((3, 8, 8)))
    assert not heard  # Pillow's warning is an error


def test_a_flipped_bit_in_a_png_is_found() -> None:
    content = bytearray(encoded(noise(20, 20)))
    content[600] ^= 4
    with pytest.raises(ValueError):
        decode(bytes(content), Recipe((3, 8, 8)))


def test_pictures_of_another_proportion_are_not_the_aligned_ones() -> None:
    recipe = Recipe((3, 8, 8), 148 / 178, aspect=178 / 218)
    decode(encoded(noise(89, 109)), recipe)
    with pytest.raises(ValueError, match=r"100 x 100 pixels are not in proportion 0\.817"):
        decode(encoded(noise(100, 100)), recipe)


def test_grey_and_colour() -> None:
    assert decode(encoded(noise(9, 9)), Recipe((1, 4, 6))).shape == (4, 6, 1)
    assert decode(encoded(Image.new("L", (9, 9), 7)), Recipe((3, 4, 4))).tolist() == np.full((4, 4, 3), 7).tolist()
    assert "EPS" not in decoding.FORMATS
