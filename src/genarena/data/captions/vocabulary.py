"""The words of a data set, and captions as tokens of them."""

import difflib
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.errors import UserError
from genarena.spec import Condition

PADDING, UNKNOWN = 0, 1
RESERVED = ("", "?")  # texts of these two tokens
MOST_WORDS, LONGEST = 8_000, 48  # of the captions of a set of pictures
MARKS = "".join(chr(code) for code in range(0x300, 0x1E000) if unicodedata.category(chr(code))[0] == "M")
ALIKE = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u2010": "-", "\u00ad": None})  # \u00ad: not seen
WORD = re.compile(rf"[\w{MARKS}]+(?:['-][\w{MARKS}]+)*")  # marks are vowels and tones in many scripts


def split_words(text: str) -> list[str]:
    """The words of a text, in small letters, without punctuation. Letters that look alike are the same: an accent may be a
    character of its own, and a letter or digit of full width; so are the apostrophes and hyphens within words."""
    plain = unicodedata.normalize("NFKC", text).translate(ALIKE).replace("_", " ").lower()
    return [word for word in WORD.findall(plain) if any(map(str.isalnum, word))]


@dataclass(frozen=True)
class Vocabulary:
    """words: the text of each token, the first two reserved. length: tokens of a caption; shorter ones are padded."""

    words: tuple[str, ...]
    length: int

    @classmethod
    def of(cls, words: Iterable[str], length: int) -> "Vocabulary":
        """A vocabulary of these words in this order, each once."""
        return cls((*RESERVED, *dict.fromkeys(words)), length)

    @classmethod
    def of_texts(cls, texts: Iterable[str], most_words: int = MOST_WORDS, longest: int = LONGEST) -> "Vocabulary":
        """The most frequent words of texts, sorted. Captions are as long as the longest text, at most `longest`."""
        counts, length = Counter[str](), 1
        for text in texts:
            found = split_words(text)
            counts.update(found)
            length = max(length, len(found))
        kept = sorted(counts, key=lambda word: (-counts[word], word))[:most_words]
        return cls.of(sorted(kept), min(length, longest))

    @classmethod
    def of_condition(cls, condition: Condition) -> "Vocabulary":
        """The vocabulary that a model was trained with. Raises UserError if it knows no words."""
        if condition.kind != "caption" or not condition.words:
            raise UserError("text: the model takes no words")
        return cls(condition.words, condition.shape[0])

    @property
    def digest(self) -> str:
        """Which words, in short."""
        return hashlib.sha256("\n".join(self.words).encode()).hexdigest()[:16]

    def condition(self, encoder: str = "words") -> Condition:
        """What a model is conditional on."""
        return Condition("caption", len(self.words), (self.length,), self.words, encoder)

    def encode(self, text: str) -> Tensor:
        """(length,) int64 tokens. Raises UserError for no words, too many, or one that is not in the vocabulary."""
        words = split_words(text)
        if not words:
            raise UserError(f"text={text!r}: expected words")
        if len(words) > self.length:
            raise UserError(f"text={text!r}: {len(words)} words, and captions have at most {self.length}")
        known = {word: token for token, word in enumerate(self.words)}
        if unknown := [word for word in words if word not in known]:
            raise UserError(f"text={text!r}: the data set has no word {unknown[0]!r}{self._nearest(unknown[0])}")
        return self.pad([known[word] for word in words])

    def pad(self, tokens: Sequence[int]) -> Tensor:
        """(length,) int64: these tokens, then padding."""
        return torch.tensor([*tokens, *[PADDING] * (self.length - len(tokens))])

    def table(self, captions: Sequence[Sequence[str]]) -> Tensor:
        """(N, K, length) int64: tokens of the captions of each example. K is the largest number of captions of an example;
        those of others are repeated. A word that is not known is token 1, and what is too long is cut off."""
        number = {word: token for token, word in enumerate(self.words)}
        most = max(map(len, captions), default=1)
        rows = [texts[k % len(texts)] for texts in captions for k in range(most)]
        known = {
            text: self.pad([number.get(word, UNKNOWN) for word in split_words(text)][: self.length])
            for text in dict.fromkeys(rows)
        }
        empty = torch.empty(0, self.length, dtype=torch.int64)
        return torch.stack([known[text] for text in rows] or [empty]).view(len(captions), most, self.length)

    def decode(self, tokens: Tensor) -> str:
        """The text of tokens (length,); "" for the null condition."""
        return " ".join(self.words[token] for token in tokens.tolist() if token != PADDING and token < len(self.words))

    def _nearest(self, word: str) -> str:
        close = difflib.get_close_matches(word, self.words[len(RESERVED) :], 1, 0.5)
        return f"; the nearest is {close[0]!r}" if close else f", e.g. {', '.join(self.words[2:8])}"
