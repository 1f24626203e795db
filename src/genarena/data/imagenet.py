"""ImageNet (ILSVRC 2012, Russakovsky et al. 2015, arXiv 1409.0575): the owner's folders, one per class.

`imagenet/train/<class>/*.JPEG` and `imagenet/val/<class>/*.JPEG` (the validation images sorted into classes, as is usual).
Pictures are cropped to the largest centred square and resized, bicubic.
"""

from dataclasses import replace
from pathlib import Path

import torch

from genarena.data.picture_set import Listing, PictureSet
from genarena.data.published_set import PublishedSet
from genarena.data.reading.folders import picture_names
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import seeded_split
from genarena.errors import DataError
from genarena.options.values import Count

COUNTS = {"train": 1_281_167, "val": 50_000}
NUM_VAL = 10_000


class ImageNet(PictureSet, PublishedSet):
    """1,271,167 training and 10,000 validation images, drawn with a fixed seed from `train`; test: the 50,000 of `val`.

    Labels are the classes in the order of their names (WordNet ids). A folder with fewer pictures is a part of the set.
    """

    name = "imagenet"
    place = "imagenet"
    page = "https://image-net.org (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar; needs an account)"
    files = ()

    image_size: Count = 64

    def listings(self) -> tuple[Listing, Listing, Listing]:
        found = {part: self._names(part) for part in COUNTS}
        classes = sorted({Path(name).parts[0] for name in found["train"]})
        unknown = {Path(name).parts[0] for name in found["val"]} - set(classes)
        if unknown:
            raise DataError(
                f"{self.folder / 'val'} has the class {min(unknown)}, which {self.folder / 'train'} has not"
            )
        self._count = sum(map(len, found.values()))
        self.spec = replace(self.spec, num_classes=len(classes))
        index = {name: number for number, name in enumerate(classes)}
        first, last = (
            Listing(Sources(self.folder / part, names), torch.tensor([index[Path(n).parts[0]] for n in names]))
            for part, names in found.items()
        )
        train, val, _ = seeded_split(first, val=min(NUM_VAL, first.size // 10), test=0)
        return train, val, last

    def part(self) -> str | None:
        whole = sum(COUNTS.values())
        return None if self._count == whole else f"{self._count}of{whole}"

    def _names(self, part: str) -> list[str]:
        folder = self.folder / part
        names = [name for name in picture_names(folder) if len(Path(name).parts) > 1]
        if len(names) < 10:
            raise DataError(
                f"{folder}: {len(names)} pictures in folders of classes, 10 are needed; unpack the files of "
                f"{self.page} into {part}/<class>/, or point data.root at a folder that has imagenet/"
            )
        return names
