import pytest
import torch

from genarena.data.captions.vocabulary import Vocabulary, split_words
from genarena.errors import UserError
from genarena.spec import Condition

TEXTS = ["A red circle.", "a blue square, left of a red circle", "Don't!"]


def test_tokens_and_texts_are_inverse() -> None:
    vocabulary = Vocabulary.of_texts(TEXTS)
    assert vocabulary.words == ("", "?", "a", "blue", "circle", "don't", "left", "of", "red", "square")
    assert vocabulary.length == 8
    tokens = vocabulary.encode("a Red circle")
    assert tokens.tolist() == [2, 8, 4, 0, 0, 0, 0, 0]
    assert vocabulary.decode(tokens) == "a red circle"
    assert Vocabulary.of_condition(vocabulary.condition()) == vocabulary
    assert vocabulary.condition("pooled") == Condition("caption", 10, (8,), vocabulary.words, "pooled")


def test_a_table_repeats_captions_where_there_are_fewer() -> None:
    vocabulary = Vocabulary.of_texts(["red", "blue", "green sea"], longest=1)
    table = vocabulary.table([["red"], ["blue", "green sea", "black"]])
    red, blue, green = (vocabulary.words.index(word) for word in ("red", "blue", "green"))
    assert torch.equal(table, torch.tensor([[[red]] * 3, [[blue], [green], [1]]]))
    assert vocabulary.table([]).shape == (0, 1, 1)


def test_rare_words_are_left_out() -> None:
    vocabulary = Vocabulary.of_texts(["b a", "a c", "c a"], most_words=2)
    assert vocabulary.words == ("", "?", "a", "c")
    assert vocabulary.table([["b c"]]).tolist() == [[[1, 3]]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a rad circle", "the data set has no word 'rad'; the nearest is 'red'"),
        ("a a a a a a a a a", "9 words, and captions have at most 8"),
        ("...", "expected words"),
    ],
)
def test_prompts_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Vocabulary.of_texts(TEXTS).encode(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Ein su\u0308\u00dfer \u00c4rger",
            ["ein", "s\u00fc\u00dfer", "\u00e4rger"],
        ),  # the first accent is a character of its own
        (
            "\u0928\u092e\u0938\u094d\u0924\u0947 \u0939\u093f\u0928\u094d\u0926\u0940",
            ["\u0928\u092e\u0938\u094d\u0924\u0947", "\u0939\u093f\u0928\u094d\u0926\u0940"],
        ),  # vowels of Hindi are marks
        ("\uff32\uff25\uff24 snake_case don't, blue-green", ["red", "snake", "case", "don't", "blue-green"]),
        ("\u2018Worker\u2019s\u2019 o\u02bcclock o\uff07clock", ["worker's", "o'clock", "o'clock"]),
        ("blue\u2010green blue\u2011green \u2013 re\u00add", ["blue-green", "blue-green", "red"]),
        ("... \U0001f600 \u0301 --", []),
    ],
)
def test_words_are_the_same_however_their_letters_are_written(text: str, words: list[str]) -> None:
    assert split_words(text) == words
