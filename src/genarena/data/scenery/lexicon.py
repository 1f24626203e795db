"""The words of captions of scenes, by meaning."""

from functools import lru_cache

from genarena.data.captions.vocabulary import Vocabulary

LENGTH = 16  # words of the longest caption
SHAPE_WORDS = {
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle", "wedge"),
    "cross": ("cross", "saltire"),
    "ring": ("ring", "hoop"),
}
PLURALS = {
    "circle": ("circles", "discs"),
    "square": ("squares", "boxes"),
    "triangle": ("triangles", "wedges"),
    "cross": ("crosses", "saltires"),
    "ring": ("rings", "hoops"),
}
COLOUR_WORDS = {
    "red": ("red", "scarlet"),
    "green": ("green", "lime"),
    "blue": ("blue", "navy"),
    "yellow": ("yellow", "golden"),
    "purple": ("purple", "violet"),
    "cyan": ("cyan", "turquoise"),
    "white": ("white", "snowy"),
}
SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
NUMBER_WORDS = {2: ("two",), 3: ("three",), 4: ("four",)}
RELATION_WORDS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
OPENINGS = ("", "a picture of", "an image of", "there is", "this is", "draw", "i see")
PLURAL_OPENINGS = ("", "a picture of", "an image of", "there are", "these are", "draw", "i see")
OTHERS = ("a", "and", "with", "that", "is", "are", "only")


@lru_cache
def vocabulary() -> Vocabulary:
    """Every word that a caption of a scene may have."""
    tables = (SHAPE_WORDS, PLURALS, COLOUR_WORDS, SIZE_WORDS, NUMBER_WORDS, RELATION_WORDS)
    phrases = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    return Vocabulary.of(
        (word for phrase in [*phrases, *OPENINGS, *PLURAL_OPENINGS, *OTHERS] for word in phrase.split()), LENGTH
    )


def meanings(table: dict) -> dict[str, object]:
    """Word -> what it means."""
    return {word: meaning for meaning, words in table.items() for word in words}
