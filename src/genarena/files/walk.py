"""Lists all files in a folder: images, samples, manifests. Imports no torch.

Hidden folders and files (`.git`, `.ipynb_checkpoints`, `._picture.png`) and `__MACOSX` are skipped.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genarena.errors import DataError


@dataclass
class Walk:
    """The content of a folder and all its subfolders.

    files: sorted paths relative to the folder, with `/`. repeated: links to folders that are listed under another path.
    """

    files: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether a file or folder with this name is skipped."""
    return name.startswith(".") or name == "__MACOSX"


def refuse(error: OSError) -> None:
    """Raise DataError: a folder cannot be read."""
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def walk(root: Path, unreadable: Callable[[OSError], None] = refuse) -> Walk:
    """All files below `root`. Links to folders are followed, but each real folder is read only once, so that cycles end.

    A folder inside `root` is listed under its real path, another one under the first link to it.
    unreadable: called for a folder that cannot be read; by default DataError is raised.
    """
    found = Walk()
    # A link to a parent of `root` would lead back to `root`.
    entered = {_identity(folder) for folder in root.resolve().parents if folder.is_dir()}
    waiting, links = [""], []  # folders to read, as "a/b/"; real folders come first
    while waiting or links:
        if not waiting:
            links.sort(reverse=True)
        prefix = (waiting or links).pop()
        try:
            identity = _identity(root / prefix)
            if identity in entered:
                found.repeated.append(prefix.rstrip("/"))
                continue
            entered.add(identity)
            with os.scandir(root / prefix) as entries:
                for entry in entries:
                    if is_hidden(entry.name):
                        continue
                    if _is_folder(entry):
                        (links if entry.is_symlink() else waiting).append(f"{prefix}{entry.name}/")
                    else:
                        found.files.append(prefix + entry.name)
        except OSError as error:
            unreadable(error)
    found.files.sort()
    return found


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: an error is raised when it is read as a file
        return False
