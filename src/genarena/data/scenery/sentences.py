"""The sentences that describe scenes: patterns of words, by the sort of the scene and the task that they pose.

`<shape0>` is a word for the shape of the first object, and so on; `PLACE` stands for a relation of the first to the second.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from genarena.data.scenery import lexicon
from genarena.data.scenery.checks import RELATIONS

PHRASES = {
    "shape": "a <shape{0}>",
    "object": "a <colour{0}> <shape{0}>",
    "after": "a <shape{0}> that is <colour{0}>",
    "sized": "a <size{0}> <shape{0}>",
    "both": "a <size{0}> <colour{0}> <shape{0}>",
    "turned": "a <colour{0}> <size{0}> <shape{0}>",
}
# sort of scene -> task -> its share, and sentences; `object0` is a phrase about the first object
SENTENCES = {
    "one": {
        "single": (0.25, ("shape0", "only shape0")),
        "colours": (0.45, ("object0", "after0", "only object0")),
        "size": (0.3, ("sized0", "both0", "turned0")),
    },
    "two": {
        "two": (0.15, ("shape0 and shape1", "shape0 with shape1")),
        "attribution": (0.35, ("object0 and object1", "after0 and after1", "object0 with object1")),
        "size_attribution": (0.15, ("sized0 and sized1", "both0 and both1")),
        "position": (
            0.35,
            (
                *("shape0 PLACE shape1", "PLACE shape1 is shape0"),
                *("object0 PLACE object1", "PLACE object1 is object0", "both0 PLACE object1"),
            ),
        ),
    },
    "same": {
        "counting": (
            1.0,
            ("<number> <shapes0>", "<number> <colour0> <shapes0>", "<number> <shapes0> that are <colour0>"),
        )
    },
    "many": {
        "many": (
            1.0,
            (
                "shape0 and shape1 and shape2",
                "object0 and object1 and object2",
                "object0 and object1 and object2 and object3",
            ),
        )
    },
}


@dataclass(frozen=True)
class Pattern:
    """task: what the sentence asks for. words: of the sentence. share: how often it is drawn. relation: index, or -1."""

    task: str
    words: tuple[str, ...]
    share: float
    relation: int

    @property
    def slots(self) -> set[str]:
        return {word.strip("<>") for word in self.words if word.startswith("<")}

    @property
    def objects(self) -> int:
        """How many objects it names one by one; 0 for a number of them."""
        named = {slot[-1] for slot in self.slots if slot.startswith("shape")}
        return 0 if "number" in self.slots else len(named)


@lru_cache
def patterns(sort: str) -> tuple[Pattern, ...]:
    """Every sentence for a sort of scene, with each opening and each phrase for a relation."""
    found = []
    for task, (share, sentences) in SENTENCES[sort].items():
        own = [made for sentence in sentences for made in _variants(sentence)]
        own = [(words, place) for words, place in own if len(words) <= lexicon.LENGTH]
        found += [Pattern(task, words, share * (1 if place < 0 else 4) / len(own), place) for words, place in own]
    return tuple(found)


def _variants(sentence: str) -> list[tuple[tuple[str, ...], int]]:
    """The words of a sentence with each opening, and the index of its relation, or -1."""
    words = [_phrase(word) for word in sentence.split()]
    numbered, fronted = "<number>" in words, words[0] == "PLACE"
    openings = ("",) if fronted else lexicon.PLURAL_OPENINGS if numbered else lexicon.OPENINGS
    places = [(-1, "")]
    if "PLACE" in words:
        places = [
            (RELATIONS.index(name), phrase) for name, phrases in lexicon.RELATION_WORDS.items() for phrase in phrases
        ]
    made = []
    for opening in openings:
        for place, phrase in places:
            text = " ".join([opening, *words]).replace("PLACE", phrase)
            made.append((tuple(text.split()), place))
    return made


def _phrase(word: str) -> str:
    return PHRASES[word[:-1]].format(word[-1]) if word[:-1] in PHRASES else word


@dataclass(frozen=True)
class Table:
    """The patterns of a sort as arrays. codes: (P, length), a token, or -1 - the number of a slot of `SLOTS`."""

    codes: np.ndarray
    share: np.ndarray
    relation: np.ndarray
    objects: np.ndarray
    tasks: np.ndarray
    sized: np.ndarray  # tells two objects apart by their size
    coloured: np.ndarray  # gives one colour to several


SLOTS = (*(f"{kind}{place}" for kind in ("shape", "shapes", "colour", "size") for place in range(4)), "number")


@lru_cache
def table(sort: str) -> Table:
    """`patterns` as arrays."""
    tokens = {word: token for token, word in enumerate(lexicon.vocabulary().words)}
    own = patterns(sort)
    codes = np.zeros((len(own), lexicon.LENGTH), int)
    for row, pattern in zip(codes, own, strict=True):
        named = [-1 - SLOTS.index(word.strip("<>")) if word.startswith("<") else tokens[word] for word in pattern.words]
        row[: len(named)] = named
    return Table(
        codes,
        np.array([pattern.share for pattern in own]),
        np.array([pattern.relation for pattern in own]),
        np.array([pattern.objects for pattern in own]),
        np.array([pattern.task for pattern in own]),
        np.array([pattern.task == "size_attribution" for pattern in own]),
        np.array(["number" in pattern.slots and "colour0" in pattern.slots for pattern in own]),
    )
