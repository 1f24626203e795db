"""Data sets that can say whether a picture shows what a caption asks for."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule


class Prompt(NamedTuple):
    """What a picture is asked for. check: what has to hold, as `Prompted.judge` reads it."""

    task: str
    text: str
    check: Any


class Prompted(ArenaDataModule):
    """A set with captions, lists of prompts, and a judge that looks at pictures."""

    lists: ClassVar[tuple[str, ...]] = ()  # the names of its lists of prompts

    @abstractmethod
    def prompts(self, name: str) -> list[Prompt]:
        """A list of prompts, the same every time. Raises ValueError for a name that is none of `lists`."""

    @abstractmethod
    def checks(self, captions: Tensor) -> list[Any]:
        """What captions (N, length) of this set ask for."""

    @abstractmethod
    def judge(self, pictures: Tensor, checks: Sequence[Any], lenient: bool = False) -> Tensor:
        """Whether each picture (N, C, H, W) of levels shows what its check asks for, bool (N,).

        lenient: also where it is blurred or faded. Raises ValueError for pictures of another shape, or another number of them.
        """

    @abstractmethod
    def unread(self, pictures: Tensor, lenient: bool = False) -> Tensor:
        """How many parts of each picture are like nothing that the judge knows, (N,) int64."""

    @abstractmethod
    def unseen(self) -> tuple[Tensor, Tensor]:
        """Pictures (N, C, H, W) of combinations that training never shows, and their captions (N, length)."""

    @abstractmethod
    def examples(self, name: str) -> tuple[Tensor, list[Prompt]]:
        """Real pictures (N, C, H, W) that training has not shown, and what their captions ask for, of the tasks of a list."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        """(N, length) tokens of texts. Raises UserError for what the vocabulary does not have."""
        vocabulary = self.vocabulary()
        return torch.stack([vocabulary.encode(text) for text in texts])
