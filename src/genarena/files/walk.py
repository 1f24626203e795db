"""The one walk of folders: for pictures, samples, manifests and rows alike. No torch here.

Never entered or taken: hidden folders and files (`.git`, `.ipynb_checkpoints`, `._picture.png`), and `__MACOSX`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from genarena.errors import DataError


@dataclass
class Walk:
    """What lies below a folder.

    files: paths from that folder, with `/`, sorted. repeated: links to folders that were entered under another name.
    """

    files: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is passed over."""
    return name.startswith(".") or name == "__MACOSX"


def refuse(error: OSError) -> None:
    """Raise DataError for a folder that cannot be read."""
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error


def walk(root: Path, unreadable: Callable[[OSError], None] = refuse) -> Walk:
    """Everything below `root`. Linked folders are followed, each real folder is entered once, so circles end.

    A folder is listed under its real name where it has one below `root`, else under the first of its links.
    unreadable: what to do about a folder that cannot be read; by default DataError is raised.
    """
    found = Walk()
    entered = {
        _identity(folder) for folder in root.resolve().parents if folder.is_dir()
    }  # a link to one of these leads back here
    waiting, links = [""], []  # folders to enter, as "a/b/"; real ones come first
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
    except OSError:  # a link to itself: whoever reads the file hears of it
        return False
