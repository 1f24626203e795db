"""Finds the picture files of a folder, by their suffixes."""

import os
import sys
from collections import Counter
from pathlib import Path

from genarena.files.walk import walk

SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
}  # these select files; the content then decides the format

OURS = (".manifest.json", ".part")  # files that genarena itself writes beside pictures


def is_picture(name: str) -> bool:
    """Whether a file of this name counts as a picture."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def picture_names(folder: Path, beside: tuple[str, ...] = ()) -> list[str]:
    """Paths of all picture files below a folder, relative to it, sorted. Other files are reported on stderr, unless their
    names end like those of `beside`.

    Empty if there is no such folder. Raises DataError for a folder that cannot be read.
    """
    if not folder.is_dir():
        return []
    found = walk(folder)
    others = (name for name in found.files if not is_picture(name) and not name.endswith((*OURS, *beside)))
    passed_over = Counter(Path(name).suffix.lower() or "no suffix" for name in others)
    if passed_over:
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in sorted(passed_over.items()))
        say(f"{folder} holds files that are not taken for pictures: {kinds}")
    if found.repeated:
        say(
            f"{folder} holds {len(found.repeated)} links to folders that are read already, the first {found.repeated[0]}"
        )
    return [name for name in found.files if is_picture(name)]


def say(text: str) -> None:
    """One line on stderr about what was found in the data."""
    print(f"data: {text}", file=sys.stderr, flush=True)
