"""Your own pictures: a folder of image files. Its subfolders are classes, or the splits `train`, `val`, `test`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from genarena.data.picture_set import AnyPictures, Listing
from genarena.data.reading.folders import SUFFIXES, picture_names, say
from genarena.data.reading.pictures import Sources
from genarena.data.splitting import completed, tenths
from genarena.errors import DataError

LEAST = 10  # pictures
PARTS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}  # split -> possible names of its folder, in upper or lower case


class ImageFolder(AnyPictures):
    """Splits: folders below `root` with names from `PARTS`, if a training folder is among them.

    Without such folders, a tenth of the pictures each is drawn for validation and test, with a fixed seed over the sorted
    paths. If only one of the two is missing, it is a tenth of the training pictures.

    Classes: the folders below `root` (or below the split's folder), if there are at least two and every picture is in one.
    """

    name = "image_folder"
    beside = ()  # suffixes and names of files that belong to the pictures

    def location(self) -> Path:
        return Path(self.root)

    def identity(self) -> dict[str, Any]:
        return super().identity() | ({"split": f"folders {', '.join(self._folders)}"} if self._folders else {})

    def listings(self) -> tuple[Listing, Listing, Listing]:
        root = Path(self.root)
        if not root.is_dir():
            raise DataError(f"data.root={root}: there is no such folder")
        names = picture_names(root, self.beside)
        if len(names) < LEAST:
            raise DataError(
                f"data.root={root}: {len(names)} pictures found ({', '.join(sorted(SUFFIXES))}), {LEAST} are needed"
            )
        self._folders = split_folders(root, names)
        below = [name.partition("/")[2] if self._folders else name for name in names]
        whole = Listing(Sources(root, names), self._labels(names, below), self.said(root, names))
        if not self._folders:
            return tenths(whole)
        folders = [name.partition("/")[0] for name in names]
        parts = {
            part: whole[torch.tensor([index for index, folder in enumerate(folders) if folder == own])]
            for own, part in self._folders.items()
        }
        return completed(parts)

    def said(self, root: Path, names: list[str]) -> torch.Tensor | None:
        """(N, ...) what belongs to the captions of the pictures below `root`; None: they have none."""
        return None

    def _labels(self, names: list[str], below: list[str]) -> torch.Tensor | None:
        """(N,) the class of each picture, from the first folder of its path; None if there are no classes."""
        folders = [path.partition("/")[0] if "/" in path else None for path in below]
        classes = sorted({folder for folder in folders if folder})
        self.spec = replace(self.spec, num_classes=None)
        if len(classes) < 2:
            return None
        if None in folders:
            loose = names[folders.index(None)]
            say(
                f"{loose} lies beside the folders {classes[0]}, {classes[1]}, ...: without a class for it, none has labels"
            )
            return None
        self.spec = replace(self.spec, num_classes=len(classes))
        number = {name: index for index, name in enumerate(classes)}
        return torch.tensor([number[folder] for folder in folders])


def split_folders(root: Path, names: list[str]) -> dict[str, str]:
    """Folder -> split, if the folders below `root` are splits; else empty.

    Raises DataError if other folders or pictures are beside the splits, or two folders are the same split.
    """
    first = sorted({name.partition("/")[0] for name in names if "/" in name})
    known = {folder: part for folder in first for part, titles in PARTS.items() if folder.lower() in titles}
    if "train" not in known.values() or len(known) == 1 < len(first):
        return {}  # a class may be named train
    others = [folder for folder in first if folder not in known] + [name for name in names if "/" not in name]
    if others:
        raise DataError(f"data.root={root}: {others[0]} lies beside {', '.join(known)}, which are splits: move it away")
    if len(set(known.values())) < len(known):
        raise DataError(f"data.root={root}: {', '.join(known)} are splits, and two of them are the same one")
    return known
