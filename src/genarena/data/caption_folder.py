"""Your own pictures with captions: a text file beside each picture, or a table (`data/reading/captions.py`)."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.data.captions.rows import tokenised
from genarena.data.captions.vocabulary import Vocabulary
from genarena.data.image_folder import ImageFolder
from genarena.data.picture_set import Listing
from genarena.data.reading.captions import TABLES, captions_of


class CaptionFolder(ImageFolder):
    """Splits and classes are those of `ImageFolder`. Words are those of the training captions; others are one token.

    In training, one of a picture's captions is drawn each time; validation and test have the first.
    """

    name = "caption_folder"
    beside = (".txt", *TABLES)

    def listings(self) -> tuple[Listing, Listing, Listing]:
        self._words, parts = tokenised(super().listings(), self._texts)
        return parts

    def said(self, root: Path, names: list[str]) -> Tensor:
        self._texts = captions_of(root, names)
        return torch.arange(len(names))

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"words": self._words.digest}

    def vocabulary(self) -> Vocabulary:
        self.listings()  # finds the captions
        return self._words
