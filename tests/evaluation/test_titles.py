"""Words above rows of images are all there, and none is cut off."""

import torch

from genarena.evaluation.titles import LINE, MARGIN, with_titles

LONG = "kiss woman woman with medium-dark and light skin tone"  # letters that are wider than the mean


def title_of(text: str, width: int) -> torch.Tensor:
    """The strip (h, width) of a title."""
    rows = 10
    return with_titles(torch.zeros(1, rows + MARGIN, width, dtype=torch.uint8), [text])[0, : -rows - MARGIN]


def test_a_title_is_broken_before_it_reaches_the_edge() -> None:
    for width in range(160, 420, 7):
        strip = title_of(LONG, width)
        assert len(strip) % LINE == 0
        assert (strip[:, -MARGIN:] == 255).all(), width


def test_no_word_is_lost() -> None:
    """The lines hold as much ink as the words one by one."""
    ink = sum((255 - title_of(word, 400).long()).sum() for word in LONG.split())
    assert (255 - title_of(LONG, 170).long()).sum().item() == ink
    assert len(title_of("a word", 400)) == LINE
