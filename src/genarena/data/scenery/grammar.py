"""Reads a caption: from words to the check that says exactly what has to hold.

caption  = [prefix] [only] (list | relation)
list     = object {(and | with) object}
relation = object PLACE object  |  PLACE object is object       PLACE: left of, to the left of, above, ...
object   = (a {size | colour} shape | number {size | colour} shapes) [that (is | are) (size | colour)]
"""

from genarena.data.captions.vocabulary import split_words
from genarena.data.scenery.checks import Check, Wanted
from genarena.data.scenery.lexicon import (
    COLOUR_WORDS,
    NUMBER_WORDS,
    OPENINGS,
    PLURAL_OPENINGS,
    PLURALS,
    RELATION_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    meanings,
)
from genarena.errors import UserError

EXAMPLES = "'a large red circle', 'three rings', 'a ring and a red cross', 'a red circle left of a square'"
STARTS = [opening.split() for opening in {*OPENINGS, *PLURAL_OPENINGS} if opening]
PLACES = {tuple(phrase.split()): meaning for phrase, meaning in meanings(RELATION_WORDS).items()}
ADJECTIVES = {word: ("colour", meaning) for word, meaning in meanings(COLOUR_WORDS).items()} | {
    word: ("size", meaning) for word, meaning in meanings(SIZE_WORDS).items()
}
ONE, SEVERAL, NUMBERS = meanings(SHAPE_WORDS), meanings(PLURALS), meanings(NUMBER_WORDS)


def parse(text: str) -> Check:
    """The check of a caption. Raises UserError, which names the word, for a text that the grammar does not have."""
    return _Reader(text).caption()


class _Reader:
    """The words of a text that are not read yet."""

    def __init__(self, text: str) -> None:
        self.text, self.words = text, split_words(text)

    def caption(self) -> Check:
        any(self._take(*start) for start in STARTS)
        only = self._take("only")
        if place := self._place():
            second = self._object()
            self._require("is")
            return self._ended(Check((self._object(), second), place, only))
        wanted = [self._object()]
        if place := self._place():
            return self._ended(Check((wanted[0], self._object()), place, only))
        while self._take("and") or self._take("with"):
            wanted.append(self._object())
        return self._ended(Check(tuple(wanted), None, only))

    def _object(self) -> Wanted:
        number = NUMBERS.get(self.words[0]) if self.words else None
        if number is None:
            self._require("a")
        else:
            self.words.pop(0)
        facts: dict[str, str] = {}
        while self._adjective(facts):
            pass
        names = ONE if number is None else SEVERAL
        if not self.words or self.words[0] not in names:
            raise self._refusal("a shape" if number is None else "several shapes")
        facts["shape"] = names[self.words.pop(0)]
        if self._take("that", "is" if number is None else "are") and not self._adjective(facts):
            raise self._refusal("a colour or a size")
        return Wanted(**facts, count=number)

    def _adjective(self, facts: dict[str, str]) -> bool:
        kind, meaning = ADJECTIVES.get(self.words[0], ("", "")) if self.words else ("", "")
        if not kind or kind in facts:
            return False
        facts[kind] = meaning
        self.words.pop(0)
        return True

    def _place(self) -> str | None:
        return next((meaning for phrase, meaning in PLACES.items() if self._take(*phrase)), None)

    def _take(self, *words: str) -> bool:
        if tuple(self.words[: len(words)]) != words:
            return False
        del self.words[: len(words)]
        return True

    def _require(self, word: str) -> None:
        if not self._take(word):
            raise self._refusal(repr(word))

    def _ended(self, check: Check) -> Check:
        if self.words:
            raise self._refusal("nothing more")
        return check

    def _refusal(self, expected: str) -> UserError:
        at = repr(self.words[0]) if self.words else "its end"
        return UserError(f"text={self.text!r}: expected {expected} at {at}; such texts are read: {EXAMPLES}")
