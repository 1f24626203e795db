"""What captions mean: exact semantics of single texts, and that every written caption is true of its scene."""

import numpy as np
import pytest
import torch

from genarena.data.scenery import lexicon
from genarena.data.scenery.arrangement import SORTS, arrange
from genarena.data.scenery.binning import split_of
from genarena.data.scenery.checks import Check, Wanted, lies
from genarena.data.scenery.grammar import parse
from genarena.data.scenery.things import Thing, rows, seen_pairs, things
from genarena.data.scenery.writing import write
from genarena.errors import UserError

CIRCLE = Thing("circle", "red", "large", 6, 10)
SQUARE = Thing("square", "blue", "small", 24, 14)
OTHER = Thing("circle", "red", "small", 12, 26)


@pytest.mark.parametrize(
    ("text", "true_of", "false_of"),
    [
        ("a circle", [CIRCLE, SQUARE], [SQUARE]),
        ("only a circle", [CIRCLE], [CIRCLE, SQUARE]),
        ("a large red disc", [CIRCLE], [OTHER]),
        ("a red circle and a blue box", [SQUARE, CIRCLE], [CIRCLE, OTHER]),
        ("a circle and a red circle", [CIRCLE, OTHER], [CIRCLE, SQUARE]),  # two different ones
        ("two red circles", [CIRCLE, OTHER, SQUARE], [CIRCLE, OTHER, CIRCLE]),  # exactly two
        ("two circles that are scarlet", [CIRCLE, OTHER], [CIRCLE]),
        ("a circle left of a square", [CIRCLE, SQUARE], [CIRCLE, SQUARE._replace(x=0)]),
        ("a square to the right of a circle", [CIRCLE, SQUARE], [CIRCLE, SQUARE._replace(x=9, y=20)]),  # it is below
        ("above a circle is a circle", [CIRCLE, OTHER], [CIRCLE, SQUARE]),
        ("a small circle over a circle", [CIRCLE, OTHER._replace(y=1)], [CIRCLE, OTHER]),
    ],
)
def test_a_text_is_true_of_some_scenes(text: str, true_of: list[Thing], false_of: list[Thing]) -> None:
    assert parse(text).holds(true_of)
    assert parse(text).holds(true_of[::-1])
    assert not parse(text).holds(false_of)


def test_the_check_is_what_the_words_say() -> None:
    check = parse("A picture of a large red circle to the left of a violet ring.")
    assert check == Check((Wanted("circle", "red", "large"), Wanted("ring", "purple")), "left")
    assert check == parse("to the left of a purple hoop is a scarlet big disc")
    assert (check.concepts, check.pairs) == (6, {("circle", "red"), ("ring", "purple")})
    assert parse("these are four green crosses") == Check((Wanted("cross", "green", None, 4),))


def test_an_object_lies_where_the_longer_distance_says() -> None:
    at = [Thing("ring", "red", "small", x, y) for x, y in ((10, 10), (20, 15), (15, 20), (20, 20))]
    assert [lies(at[0], other) for other in at[1:]] == ["left", "above", None]
    assert [lies(other, at[0]) for other in at[1:]] == ["right", "below", None]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a red", "expected a shape at its end"),
        ("red circle", "expected 'a' at 'red'"),
        ("a red blue circle", "expected a shape at 'blue'"),
        ("two circle", "expected several shapes at 'circle'"),
        ("a circle a square", "expected nothing more at 'a'"),
        ("left of a circle a square", "expected 'is' at 'a'"),
        ("a circle that is of", "expected a colour or a size at 'of'"),
    ],
)
def test_other_texts_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sort", SORTS)
def test_every_caption_is_true_of_its_scene_and_belongs_to_its_split(sort: str) -> None:
    rng, words = np.random.default_rng(1), lexicon.vocabulary()
    scenes = arrange(sort, 300, rng, seen_pairs())
    for split in ("train", "val", "test"):
        tokens, tasks = write(scenes, sort, split, rng)
        kept = tasks != ""
        assert kept.mean() > 0.5
        assert set(split_of(tokens[kept])) == {split}
        texts = [words.decode(row) for row in torch.from_numpy(tokens[kept])]
        assert all(parse(text).holds(things(scene)) for text, scene in zip(texts, scenes[kept], strict=True))
        assert torch.equal(torch.stack([words.encode(text) for text in texts]), torch.from_numpy(tokens[kept]))


def test_things_and_rows_are_inverse() -> None:
    assert things(rows([CIRCLE, SQUARE])) == [CIRCLE, SQUARE]
    with pytest.raises(ValueError, match="5 objects: a scene has at most 4"):
        rows([CIRCLE] * 5)
