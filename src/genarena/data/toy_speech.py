"""A made language: each letter is a known mel column, lasts a known number of frames, and nothing else is heard. No download.

x_t = c_a(t) + 0.2 e_t with e_t ~ N(0, I): a letter is a bump over the bands. A model of speech has learnt it when it finds the
durations of all letters, and needs the entropy of the noise for a frame, 80 (log 0.2 + 1.419) = -15.2 nats.
"""

from functools import cached_property

import torch
from torch import Tensor

from genarena.data.batches import seeded_generator
from genarena.data.sound.spoken_set import Spoken, SpokenSet
from genarena.options.values import Count
from genarena.statistics import mel

LETTERS = "abcdefgh"
DURATIONS = {" ": 2, **{letter: 2 + index % 4 for index, letter in enumerate(LETTERS)}}  # frames
NOISE = 0.2
HELD_OUT = (20, 40)  # sentences for validation and test


class ToySpeech(SpokenSet):
    """`num_sentences` training sentences of one to three words, of two or three letters each. No letter stands beside its like:
    nobody could hear where one ends."""

    name = "toy_speech"

    frames: Count = 64
    num_sentences: Count = 400

    def texts(self) -> list[str]:
        return self._sentences

    def spoken(self) -> Spoken:
        frames = [sum(DURATIONS[letter] for letter in f" {text} ") for text in self._sentences]
        mels = torch.cat([self._mel(number, text) for number, text in enumerate(self._sentences)])
        return Spoken(mels, torch.tensor(frames), self._sentences, [f"sentence {n}" for n in range(len(frames))])

    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Held-out sentences come first, so that they are the same for every number of training sentences."""
        num_val, num_test = HELD_OUT
        every = torch.arange(len(self._sentences))
        return every[num_val + num_test :], every[:num_val], every[num_val : num_val + num_test]

    @cached_property
    def _sentences(self) -> list[str]:
        return [_sentence(number) for number in range(sum(HELD_OUT) + self.num_sentences)]

    @staticmethod
    def _mel(number: int, text: str) -> Tensor:
        """(frames, BANDS) of a sentence."""
        columns = torch.stack([column(letter) for letter in f" {text} " for _ in range(DURATIONS[letter])])
        return columns + NOISE * torch.randn(columns.shape, generator=seeded_generator("toy_speech", number, text))


def column(letter: str) -> Tensor:
    """(BANDS,) the mel of a letter; a space is quiet, but no silence."""
    bands = torch.arange(mel.BANDS, dtype=torch.float32)
    middle = 10.0 * LETTERS.find(letter) + 5.0
    return -9.0 + (0.0 if letter == " " else 6.0) * torch.exp(-0.5 * ((bands - middle) / 4.0).square())


def _sentence(number: int) -> str:
    generator = seeded_generator("toy_speech", number)

    def below(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    words = []
    for _ in range(1 + below(3)):
        places = [below(len(LETTERS))]
        for _ in range(1 + below(2)):
            places.append((places[-1] + 1 + below(len(LETTERS) - 1)) % len(LETTERS))
        words.append("".join(LETTERS[place] for place in places))
    return " ".join(words)
