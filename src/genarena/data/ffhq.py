"""FFHQ (Karras, Laine & Aila 2019, arXiv 1812.04948): 70,000 aligned faces, from the owner's folder of PNG files.

Any published size: `images1024x1024`, `thumbnails128x128`, with or without subfolders. The sizes have different data ids.
"""

from pathlib import Path

import torch

from genarena.data.picture_set import Listing, PictureSet
from genarena.data.published_set import PublishedSet
from genarena.data.reading.decoding import Recipe
from genarena.data.reading.folders import picture_names
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import seeded_split, tenths
from genarena.errors import DataError
from genarena.options.values import Count

COUNT, LAST_TRAIN = 70_000, 59_999  # by the number in a file's name, as the owner suggests
NUM_VAL = 5_000


class FFHQ(PictureSet, PublishedSet):
    """55,000 training and 5,000 validation images, drawn with a fixed seed from 0 .. 59,999; test: the last 10,000.

    A folder with fewer images is a part of the set. Without images after 59,999, a tenth each is drawn for validation and
    test.
    """

    name = "ffhq"
    place = "ffhq"
    page = "https://github.com/NVlabs/ffhq-dataset"
    files = ()

    image_size: Count = 64

    def recipe(self) -> Recipe:
        return Recipe(self.spec.shape, aspect=1.0)

    def listings(self) -> tuple[Listing, Listing, Listing]:
        if not self.folder.is_dir():
            raise DataError(
                f"ffhq is not in {self.folder}: its owner's server hands it to people only; put the PNG files of "
                f"{self.page} there, or point data.root at a folder that has ffhq/"
            )
        names = [name for name in picture_names(self.folder) if Path(name).stem.isdigit()]
        numbers = torch.tensor([int(Path(name).stem) for name in names])
        if len(names) < 10 or len(numbers.unique()) != len(names):
            raise DataError(
                f"{self.folder}: expected at least 10 pictures, each with a number of its own for a name "
                f"(00000.png); found {len(names)}"
            )
        self._count = len(names)
        whole = Listing(Sources(self.folder, names))
        first, last = whole[(numbers <= LAST_TRAIN).nonzero()[:, 0]], whole[(numbers > LAST_TRAIN).nonzero()[:, 0]]
        if not last.size or first.size < 2:
            return tenths(whole)
        train, val, _ = seeded_split(first, val=min(NUM_VAL, first.size // 10 or 1), test=0)
        return train, val, last

    def part(self) -> str | None:
        return None if self._count == COUNT else f"{self._count}of{COUNT}"
