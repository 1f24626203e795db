"""Colours of text can be read on the page in both schemes (WCAG 2.2, 1.4.3: a contrast of 4.5)."""

import re
from pathlib import Path

import pytest

from genarena.leaderboard import page

STYLE = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(re.findall(r"--(\w+): #([0-9a-f]+);", part)) for part in STYLE.partition("* {")[0].split("@media"))


def luminance(colour: str) -> float:
    wide = "".join(2 * digit for digit in colour) if len(colour) == 3 else colour
    shares = [int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("000", "ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_stands_out(scheme: dict[str, str]) -> None:
    assert set(scheme) == set(LIGHT)  # a colour of one scheme alone would be seen in both
    texts = [name for name in scheme if name not in ("bg", "soft", "line", "best")]
    assert len(texts) > 15
    poor = {name: contrast(scheme[name], scheme["bg"]) for name in texts}
    assert {name: ratio for name, ratio in poor.items() if ratio < 4.5} == {}
    for behind in ("soft", "best"):
        assert min(contrast(scheme[name], scheme[behind]) for name in ("fg", "dim", "accent")) >= 4.5, behind
