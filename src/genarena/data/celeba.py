"""CelebA (Liu, Luo, Wang & Tang 2015), aligned: faces of 178x218, cropped to the centred 148x148 and resized.

The crop is given as a share of the width, so that a copy of another size shows the same part of the face. For
non-commercial research; the owner forbids redistribution.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from genarena.data.picture_set import Listing, PictureSet
from genarena.data.published_set import PublishedSet
from genarena.data.reading.decoding import Recipe
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import tenths
from genarena.errors import DataError
from genarena.files.download import Published
from genarena.options.values import Count

COUNT, LAST_TRAIN, LAST_VAL = 202_599, 162_770, 182_637  # the official split is by picture number
NUM_ATTRIBUTES = 40


class CelebA(PictureSet, PublishedSet):
    """162,770 training, 19,867 validation and 19,962 test images; `y` (N, 40) attributes that are 0 or 1.

    A folder with fewer pictures is a part of the set, with a data id of its own. If list_eval_partition.txt leaves a split
    empty, all pictures are split anew, with a tenth each for validation and test.
    attribute: one of the 40 attributes as the label, e.g. Smiling; None: all of them.
    """

    name = "celeba"
    place = "celeba"
    page = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (aligned and cropped images, attributes, partition)"
    files = (
        Published(
            "img_align_celeba.zip",
            "46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
            size=1_443_490_838,
        ),
        Published(
            "list_attr_celeba.txt", "f0e5da289d5ccf75ffe8811132694922b60f2af59256ed362afa03fefba324d0", size=26_721_026
        ),
        Published(
            "list_eval_partition.txt",
            "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7",
            size=2_836_386,
        ),
    )

    image_size: Count = 64
    attribute: str | None = None

    def recipe(self) -> Recipe:
        return Recipe(self.spec.shape, share=148 / 178, aspect=178 / 218, resampling="bilinear")

    def listings(self) -> tuple[Listing, Listing, Listing]:
        archive, attributes, partition = self.files
        parts = self._partition(self._text(partition))
        folder = self.obtain_folder(archive, self.folder / "img_align_celeba", "img_align_celeba")
        names = [name for name in sorted(path.name for path in folder.iterdir()) if name in parts]
        if len(names) < 3:
            raise DataError(f"{folder}: {len(names)} of its files are in {partition.file}, 3 are needed")
        self._count = len(names)
        whole = Listing(Sources(folder, names), self._labels(self._text(attributes), names))
        place = torch.tensor([parts[name] for name in names])
        splits = tuple(whole[(place == part).nonzero()[:, 0]] for part in range(3))
        official = all(parts[name] == official_part(name) for name in names)
        self._split = "official" if official else f"{partition.file} of the folder, which is not the official one"
        if not all(split.size for split in splits):
            self._split = "drawn with a fixed seed: the folder's list_eval_partition.txt leaves a part empty"
            return tenths(whole)
        return splits

    def part(self) -> str | None:
        return None if self._count == COUNT else f"{self._count}of{COUNT}"

    def identity(self) -> dict[str, object]:
        labels = {"attribute": self.attribute} if self.attribute else {}
        return super().identity() | {"split": self._split} | labels

    def _text(self, published: Published) -> Path:
        """The list in the folder, without a check of its hash (it may be that of a part of the set); else the published one."""
        path = self.folder / published.file
        return path if path.is_file() else self.obtain(published)

    def _partition(self, path: Path) -> dict[str, int]:
        """Name of a picture -> 0 train, 1 validation, 2 test. Raises DataError for a line that is neither."""
        parts = {}
        for number, line in enumerate(_lines(path), 1):
            words = line.split()
            if len(words) != 2 or words[1] not in ("0", "1", "2"):
                raise DataError(f"{path}, line {number}: expected the name of a picture and 0, 1 or 2")
            parts[words[0]] = int(words[1])
        return parts

    def _labels(self, path: Path, names: list[str]) -> Tensor:
        """(N, 40) int64, 0 or 1; (N,) for one attribute. A line of the file holds a name and 40 times -1 or 1."""
        _, titles, *lines = _lines(path)
        titles = titles.split()
        rows = {name: row for row, name in enumerate(names)}
        y = torch.full((len(names), NUM_ATTRIBUTES), -1)
        for line in lines:
            name, *values = line.split() or [""]
            if name in rows and len(values) == NUM_ATTRIBUTES and set(values) <= {"-1", "1"}:
                y[rows[name]] = torch.tensor([value == "1" for value in values])
        missing = (y < 0).any(1).nonzero()
        if len(missing):
            raise DataError(f"{path}: there is no line of {names[missing[0]]} with {NUM_ATTRIBUTES} times -1 or 1")
        if self.attribute is None:
            return y
        if self.attribute not in titles:
            raise DataError(f"data.attribute={self.attribute}: expected one of {', '.join(titles)}")
        self.spec = replace(self.spec, num_classes=2)
        return y[:, titles.index(self.attribute)].contiguous()


def official_part(name: str) -> int | None:
    """The official split of a picture such as 000001.jpg: 0 train, 1 validation, 2 test; None for any other name."""
    stem = name.removesuffix(".jpg")
    if not stem.isdigit() or not 1 <= int(stem) <= COUNT:
        return None
    return (int(stem) > LAST_TRAIN) + (int(stem) > LAST_VAL)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(lines) < 3:
        raise DataError(f"{path} is damaged: it has {len(lines)} lines")
    return lines
