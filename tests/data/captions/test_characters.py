"""Characters of what is spoken: one reading of a text, and what cannot be said is refused by name."""

import pytest

from genarena.data.captions.characters import Characters, spoken
from genarena.errors import UserError

KNOWN = Characters.of_texts(["A cat, then.", "the \u201cne-plus-ultra\u201d; it\u2019s"])


def test_a_text_is_read_as_it_is_said() -> None:
    assert spoken("  Caf\u00e9\u2014it\u2019s \n \u201cGOOD\u201d ") == ' cafe-it\'s "good" '
    assert spoken(" ... \u2014 ") == ""


def test_tokens_say_the_text_with_a_space_at_both_ends() -> None:
    tokens = KNOWN.encode("The cat.")
    assert KNOWN.decode(tokens) == " the cat. " and len(tokens) == KNOWN.length
    assert (tokens != 0).sum() == 10 and tokens[0] == tokens[9] == tokens[4]
    assert Characters.of_condition(KNOWN.condition()) == KNOWN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is nothing to say"),
        ("?!", "there is nothing to say"),
        ("the zebra", "text: character 'z' in 'the zebra' is in no training text"),
        ("cat 22", "character '2' in .* write numbers out as words"),
        ("the cat, then the cat, then the cat", "37 characters with the spaces at both ends, and the longest text"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        KNOWN.encode(text)
    assert "\n" not in str(refused.value)
