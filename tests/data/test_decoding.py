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


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
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
        (bomb(12_000, 12_000), "12000 x 12000 pixels, at most 64,000,000"),
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


# -- as a viewer shows it ----------------------------------------------------------------------------------------------

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)
UNTURN = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


def halves(size: int, top: tuple[int, ...] = RED, bottom: tuple[int, ...] = BLUE) -> Image.Image:
    picture = Image.new("RGB" if len(top) == 3 else "RGBA", (size, size), top)
    picture.paste(bottom, (0, size // 2, size, size))
    return picture


def turned(orientation: int, kind: str) -> bytes:
    """Red above blue, stored turned, with the EXIF tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = halves(16).transpose(UNTURN[orientation])
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    return encoded(stored, kind, exif=exif, **options.get(kind, {}))


@pytest.mark.parametrize("orientation", UNTURN)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_first(kind: str, orientation: int) -> None:
    found = decode(turned(orientation, kind), Recipe((3, 16, 16))).astype(int)
    assert np.abs(found - np.asarray(halves(16))).max() <= 4  # JPEG's loss


def test_damaged_exif_says_nothing() -> None:
    content = encoded(halves(8), exif=b"Exif\0\0no TIFF header")
    assert np.array_equal(decode(content, Recipe((3, 8, 8))), np.asarray(halves(8)))


def palette(index: int) -> bytes:
    """Red above green, where the green of the palette is transparent."""
    picture = Image.new("P", (8, 8), 0)
    picture.putpalette([*RED, *GREEN])
    picture.paste(1, (0, 4, 8, 8))
    return encoded(picture, transparency=index)


def with_key(picture: Image.Image, key: object) -> bytes:
    """A PNG with a tRNS chunk: this colour is transparent."""
    return encoded(picture, transparency=key)


def grey_halves(mode: str, top: object, bottom: object) -> Image.Image:
    picture = Image.new(mode, (8, 8), top)
    picture.paste(bottom, (0, 4, 8, 8))
    return picture


TRANSPARENT = {  # upper half -> its colour; the lower half is hidden
    "RGBA": (encoded(halves(8, (*RED, 255), (*GREEN, 0))), RED),
    "WEBP": (encoded(halves(8, (*RED, 255), (*GREEN, 0)), "WEBP", lossless=True), RED),
    "LA": (encoded(grey_halves("LA", (7, 255), (90, 0))), (7, 7, 7)),
    "P": (palette(1), RED),
    "RGB tRNS": (with_key(halves(8, RED, GREEN), GREEN), RED),
    "L tRNS": (with_key(grey_halves("L", 7, 90), 90), (7, 7, 7)),
    "1 tRNS": (with_key(grey_halves("1", 0, 1), 255), (0, 0, 0)),
    "GIF": (encoded(Image.open(io.BytesIO(palette(1))), "GIF"), RED),
}


@pytest.mark.parametrize("kind", TRANSPARENT)
def test_what_is_transparent_shows_the_background(kind: str) -> None:
    content, colour = TRANSPARENT[kind]
    for background, level in (("white", 255), ("grey", 128), ("black", 0)):
        found = decode(content, Recipe((3, 8, 8), background=background))
        assert (found[:3] == colour).all()
        assert (found[5:] == level).all()
        grey = decode(content, Recipe((1, 8, 8), background=background))
        assert (grey[5:] == level).all()
    with pytest.raises(ValueError, match=r"transparent pixels \(data\.background=white"):
        decode(content, Recipe((3, 8, 8), background="refuse"))


def test_half_transparent_is_mixed_and_opaque_alpha_changes_nothing() -> None:
    mixed = Image.new("RGBA", (8, 8), (200, 100, 0, 51))
    expected = [round(0.2 * value + 0.8 * 255) for value in (200, 100, 0)]
    assert np.abs(decode(encoded(mixed), Recipe((3, 8, 8))).astype(int) - expected).max() <= 1
    opaque = noise(8, 8).convert("RGBA")
    for background in ("white", "refuse"):
        assert np.array_equal(
            decode(encoded(opaque), Recipe((3, 8, 8), background=background)), np.asarray(noise(8, 8))
        )


def frames(kind: str, **options: object) -> bytes:
    return encoded(noise(8, 8), kind, save_all=True, append_images=[halves(8), noise(8, 8).rotate(90)], **options)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_no_picture(kind: str) -> None:
    with pytest.raises(ValueError, match="3 frames in one file, expected one picture"):
        decode(frames(kind), Recipe((3, 8, 8)))


def test_the_preview_beside_a_photograph_is_no_second_frame() -> None:
    first = decode(frames("MPO", quality=95), Recipe((3, 8, 8))).astype(int)
    assert np.array_equal(first, decode(encoded(noise(8, 8), "JPEG", quality=95), Recipe((3, 8, 8))))


@pytest.mark.parametrize("kind", ["PPM", "BMP", "TIFF", "PNG"])
def test_lossless_formats_give_the_pixels(kind: str) -> None:
    assert np.array_equal(decode(encoded(noise(8, 8), kind), Recipe((3, 8, 8))), np.asarray(noise(8, 8)))


def test_more_formats_are_read() -> None:
    assert decode(encoded(halves(16), "AVIF"), Recipe((3, 16, 16)))[0, 0, 0] > 200
    cmyk = encoded(halves(16).convert("CMYK"), "JPEG")
    assert np.abs(decode(cmyk, Recipe((3, 16, 16)))[2].astype(int) - RED).max() < 12
