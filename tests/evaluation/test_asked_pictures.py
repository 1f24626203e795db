"""Pictures of conditional models: a row per class, or per caption with its words above."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from genarena.data.captions.vocabulary import Vocabulary
from genarena.errors import UserError
from genarena.evaluation.asked_pictures import asked_pictures, rows_of_attributes, rows_of_captions
from genarena.evaluation.pictures import save_samples
from genarena.evaluation.titles import LINE, with_titles
from genarena.spec import Condition, DataSpec

WORDS = Vocabulary.of(["a", "red", "blue", "circle"], 4)
CAPTIONS = torch.stack([WORDS.encode(text) for text in ("a red circle", "a blue circle", "circle")])


def test_captions_get_a_row_each_with_their_words() -> None:
    asked = asked_pictures(WORDS.condition(), 7, CAPTIONS)
    assert (asked.columns, asked.titles) == (2, ("a red circle", "a blue circle", "circle"))
    assert torch.equal(asked.y, CAPTIONS[[0, 0, 1, 1, 2, 2]])
    many = asked_pictures(WORDS.condition(), 16, CAPTIONS.repeat(10, 1))
    assert (len(many.titles), len(many.y)) == (8, 16)
    nameless = Condition("caption", 6, (4,))
    assert asked_pictures(nameless, 7, CAPTIONS).titles == ()
    alone = rows_of_captions(CAPTIONS[:1], ["a red circle"], 9)
    assert (len(alone.y), alone.columns, alone.titles) == (9, None, ("a red circle",))


def test_classes_get_a_row_each_and_others_stay_as_they_come() -> None:
    labels = asked_pictures(Condition("label", 3), 7, None)
    assert labels.y.tolist() == [0, 0, 1, 1, 2, 2] and labels.columns == 2 and labels.titles == ()
    attributes = torch.tensor([[0, 1], [1, 1], [1, 0]])
    assert torch.equal(asked_pictures(Condition("attributes", 2), 2, attributes).y, attributes[:2])
    assert asked_pictures(None, 5, None).y is None
    assert asked_pictures(WORDS.condition(), 5, None).y is None


def test_lists_of_attributes_get_a_row_each() -> None:
    condition, names = Condition("attributes", 3), ("Bald", "Male", "Smiling")
    asked = rows_of_attributes(condition, names, "smiling, Male; none;2", 6)
    assert torch.equal(asked.y, torch.tensor([[0, 1, 1], [0, 0, 0], [0, 0, 1]]).repeat_interleave(2, 0))
    assert (asked.columns, asked.titles) == (2, ("smiling, Male", "none", "2"))
    condition.check(asked.y, 6)
    with pytest.raises(UserError, match="attributes=Smilin: .*did you mean Smiling.; there are Bald, Male, Smiling"):
        rows_of_attributes(condition, names, "Smilin", 6)
    with pytest.raises(UserError, match="attributes='; ': expected names of attributes"):
        rows_of_attributes(condition, names, "; ", 6)


def test_titles_stand_above_their_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda self, place, text, **style: written.append(text))
    x = torch.tensor([10, 20, 30, 40, 50, 60], dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 78, 78)
    titles = ["first", "the second title is so long that it takes two lines of text"]
    save_samples(x, DataSpec((3, 78, 78), 256), tmp_path / "x.png", columns=3, titles=titles)
    picture = np.asarray(Image.open(tmp_path / "x.png"))
    assert picture.shape == (2 * 80 + 2 + 3 * LINE, 3 * 80 + 2, 3)
    assert picture[LINE + 40, [40, 120, 200], 0].tolist() == [10, 20, 30]
    assert picture[3 * LINE + 80 + 40, [40, 120, 200], 0].tolist() == [40, 50, 60]
    assert (picture[:LINE] == 255).all() and (picture[LINE + 80 : 3 * LINE + 80] == 255).all()
    assert [written[0], " ".join(written[1:]).replace("  ", " ")] == titles


def test_a_narrow_grid_is_widened_for_its_titles() -> None:
    grid = torch.zeros(1, 32, 32, dtype=torch.uint8)
    shown = with_titles(grid, ["a red circle"])
    assert shown.shape == (1, 32 + LINE, 160)
    assert (shown[0, LINE:, :32] == 0).all() and (shown[0, LINE:, 32:] == 128).all()
    with pytest.raises(ValueError, match="4 titles: expected one for each row"):
        with_titles(grid, ["a"] * 4)
