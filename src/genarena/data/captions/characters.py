"""Characters of what is spoken, and texts as tokens of them.

A text is read as it sounds, as far as its letters say: small letters, no accents, quotes and dashes of one kind each, single
spaces. Punctuation stays, because it is heard in the rhythm. A space stands at both ends: the silence of a clip before and
behind the words belongs to it. Numbers and abbreviations have to be written out.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.captions.vocabulary import RESERVED, Vocabulary
from genarena.errors import UserError
from genarena.spec import Condition

ALIKE = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d", '"'),
        **dict.fromkeys("\u2010\u2013\u2014", "-"),
    }
)


def spoken(text: str) -> str:
    """The text as it is read, with a space at both ends; "" if nothing is left. Raises UserError for nothing that is heard."""
    apart = unicodedata.normalize("NFKD", text.translate(ALIKE))
    letters = "".join(character for character in apart if not unicodedata.combining(character))
    plain = " ".join(letters.lower().split())
    return f" {plain} " if any(map(str.isalnum, plain)) else ""


@dataclass(frozen=True)
class Characters(Vocabulary):
    """words: the character of each token, the first two reserved. length: characters of the longest text."""

    @classmethod
    def of_texts(cls, texts: Iterable[str], length: int | None = None) -> "Characters":
        """The characters of texts as they are spoken, sorted. length: None: of the longest."""
        every = [spoken(text) for text in texts]
        return cls.of(sorted(set("".join(every))), length or max(map(len, every), default=1))

    @classmethod
    def of_condition(cls, condition: Condition) -> "Characters":
        """The characters that a model was trained with. Raises UserError if it knows none."""
        if condition.kind != "characters" or not condition.words:
            raise UserError("text: the model speaks no texts")
        return cls(condition.words, condition.shape[0])

    def condition(self, encoder: str = "words") -> Condition:
        """What a model is conditional on."""
        return Condition("characters", len(self.words), (self.length,), self.words)

    def encode(self, text: str, where: str = "text") -> Tensor:
        """(length,) int64 tokens. Raises UserError for nothing to say, a character that is not known, or too many; `where` says
        whose text it is."""
        plain = spoken(text)
        if not plain:
            raise UserError(f"{where}={text!r}: there is nothing to say in it")
        known = {character: token for token, character in enumerate(self.words) if token >= len(RESERVED)}
        for place, character in enumerate(plain):
            if character not in known:
                raise UserError(f"{where}: {self._strange(character, plain, place)}")
        if len(plain) > self.length:
            raise UserError(
                f"{where}: {len(plain)} characters with the spaces at both ends, and the longest text of the data set has "
                f"{self.length}: say it in parts"
            )
        return self.pad([known[character] for character in plain])

    def table(self, captions: Sequence[Sequence[str]]) -> Tensor:
        """(N, 1, length) int64 of one text each."""
        return torch.stack([self.encode(*texts) for texts in captions])[:, None]

    def decode(self, tokens: Tensor) -> str:
        """The characters of tokens (length,), with the spaces at both ends."""
        return "".join(self.words[token] for token in tokens.tolist() if len(RESERVED) <= token < len(self.words))

    def _strange(self, character: str, plain: str, place: int) -> str:
        near = plain[max(0, place - 10) : place + 11].strip()
        advice = "; write numbers out as words" if character.isdigit() else ""
        known = "".join(self.words[len(RESERVED) :]).strip()
        return f"character {character!r} in {near!r} is in no training text; they have {known}{advice}"
