"""Sets of speech with its text: the mel spectrogram of a whole clip, and the characters that are said in it."""

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.captions.characters import Characters, spoken
from genarena.data.reading.lazy import Lazy
from genarena.data.sound import durations
from genarena.errors import DataError, UserError, counted
from genarena.options.values import Count, Folder
from genarena.statistics import mel

IN_MEMORY = 2**26  # numbers of a split: with more, mels are padded when they are indexed


class Spoken(NamedTuple):
    """mels (F, BANDS): of all clips, one after the other; frames (K,): of each; texts and names: of each."""

    mels: Tensor
    frames: Tensor
    texts: Sequence[str]
    names: Sequence[str]


class SpokenSet(ArenaDataModule):
    """A subclass writes `texts`, `spoken` and `parts`.

    x is (80, frames): the log-mel of a whole clip, and silence behind it. Sound ends with the last frame above silence
    (`mel.lengths`), so frames of digital silence at the end of a clip do not count. Captions are the characters of the text.
    frames: of an example, those of the longest clip at least. sample_rate: of the clips. durations: a file with those of the
    characters of training clips (`durations.py`), which models take in place of an alignment of their own; part of the data id.
    Characters are those of the training texts. Raises DataError for a clip that is too long, one with fewer frames than
    characters, one of validation or test with a character that training does not have, and durations that do not fit.
    """

    frames: Count = 896
    sample_rate: Count = 22_050
    durations: Folder | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = ((mel.BANDS, self.frames), None, self.sample_rate)
        if (self.spec.shape, self.spec.num_levels, self.spec.sample_rate) != wanted:
            raise DataError(
                f"data.spec: expected shape {wanted[0]}, num_levels=null and sample_rate={self.sample_rate}"
            )

    @abstractmethod
    def texts(self) -> Sequence[str]:
        """What is said in each clip, without reading their sound. Raises DataError, in one line, for missing files."""

    @abstractmethod
    def spoken(self) -> Spoken:
        """All clips. Raises DataError, in one line, for clips that are refused."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """The numbers of the clips for training, validation and test. `texts` was called before."""

    def vocabulary(self) -> Characters:
        texts = self.texts()
        longest = max(len(spoken(text)) for text in texts)
        return Characters.of_texts([texts[row] for row in self.parts()[0].tolist()], longest)

    def load(self) -> tuple[Split, Split, Split]:
        if self.durations is not None and self.condition != "characters":
            raise DataError("data.durations: they are those of characters: say data.condition=characters")
        told = None if self.durations is None else durations.read(Path(self.durations))
        clips, self._characters = self.spoken(), self.vocabulary()
        try:
            tokens = self._characters.table(list(zip(clips.texts, clips.names, strict=True)))
        except UserError as error:
            raise DataError(str(error)) from error
        letters = (tokens[:, 0] != 0).sum(1)
        self._refuse_unfit(clips, letters)
        first = clips.frames.cumsum(0) - clips.frames
        make = partial(_padded, clips.mels, first, clips.frames, self.frames)
        train, val, test = (self._split(Lazy(part, make), tokens[part]) for part in self.parts())
        if told is not None:
            heard = torch.cat([mel.lengths(make(torch.tensor([row]))) for row in range(len(letters))])
            fitting = durations.Clips(clips.names, letters, heard, tokens.shape[2], self.parts()[0])
            train = train._replace(durations=durations.table(told, fitting, Path(self.durations))[self.parts()[0]])
            self._told = hashlib.sha256(train.durations.numpy().tobytes()).hexdigest()[:16]
        return train, val, test

    def identity(self) -> dict[str, Any]:
        sizes = {"frames": self.frames, "sample_rate": self.sample_rate, "characters": self._characters.digest}
        told = {} if self.durations is None else {"durations": self._told}
        return super().identity() | sizes | told | {"mel": mel.NAME}

    def digest(self, name: str) -> str:
        """Of mels that are padded when they are indexed: of each in turn."""
        x, hasher = getattr(self, name).x, hashlib.sha256()
        if not isinstance(x, Lazy):
            return super().digest(name)
        for part in x.split(64):
            hasher.update(part.contiguous().numpy())
        return hasher.hexdigest()

    @staticmethod
    def _split(x: Lazy, tokens: Tensor) -> Split:
        return Split(x[:] if x.shape.numel() <= IN_MEMORY else x, captions=tokens)

    def _refuse_unfit(self, clips: Spoken, letters: Tensor) -> None:
        if len(long := (clips.frames > self.frames).nonzero()):
            raise DataError(
                f"{clips.names[int(long[0])]} has {int(clips.frames[int(long[0])])} frames, more than data.frames={self.frames}"
            )
        if len(short := (clips.frames < letters).nonzero()):
            row = int(short[0])
            raise DataError(
                f"{clips.names[row]} has {counted(int(clips.frames[row]), 'frame')} "
                f"for {counted(int(letters[row]), 'character')}: expected one each"
            )


def _padded(mels: Tensor, first: Tensor, frames: Tensor, size: int, rows: Tensor) -> Tensor:
    """(n, BANDS, size) of the clips `rows` (n,), which have frames[row] frames from first[row] on."""
    made = [mels[first[row] : first[row] + frames[row]].T[None] for row in rows.tolist()]
    return torch.cat([mel.padded(clip, size) for clip in made])
