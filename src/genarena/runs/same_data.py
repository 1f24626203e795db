"""Tells whether a stored run was trained on the data of the present command line. Imports no torch.

The `config.yaml` of a run contains the data id and a stamp of the files of the data. If the stamp is unchanged, the data is
taken to be unchanged. Otherwise another process reads the data and prints its id: `python -m genarena.runs.same_data`.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from genarena.runs import classes


def facts(data_id: str, node: dict[str, Any], location: Path | None) -> dict[str, Any]:
    """The entries of `config.yaml` about the data: `data_id` and `data_files`.

    node: the configuration of the data set. location: the file or folder of the data; None if the data is generated, comes
    with a library, or is the file in the option `path`.
    """
    place = location or next((path for path in _places(node) if path.is_file()), None)
    files = {"path": str(place.absolute()), "stamp": stamp(place)} if place else None
    return {"data_id": data_id, "data_files": files}


def is_same(stored: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether `node` describes the data of a stored run. True if the run did not store the files of its data."""
    files = stored.get("data_files")
    if not isinstance(files, dict):
        return True
    place = Path(str(files.get("path")))
    if any(place.is_relative_to(own.absolute()) for own in _places(node)) and _stamp(place) == files.get("stamp"):
        return True
    known = stored.get("data_id")
    return known is not None and _data_id(json.dumps(classes.unconditional(node), sort_keys=True)) == known


def stamp(place: Path) -> str:
    """A hash of names, sizes and times of a file or of all files in a folder. Links are followed; each folder is read once."""
    digest = hashlib.sha256()
    for path in sorted(_files(place)):
        found = path.stat()
        line = f"{path.relative_to(place)}\0{found.st_size}\0{found.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


_stamp = lru_cache(stamp)  # a launcher calls it many times


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    visited = set()
    for folder, inner, names in os.walk(place, followlinks=True):
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in visited:
            inner.clear()
            continue
        visited.add((found.st_dev, found.st_ino))
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _places(node: dict[str, Any]) -> list[Path]:
    """Possible places of the files of a data set: `path`, with and without `root` before it; without `path`, `root`."""
    root, path = Path(node.get("root") or "."), node.get("path")
    return [root / path, Path(path)] if path else [root]


@lru_cache
def _data_id(node: str) -> str | None:
    """The id of a data set, read by another process; None if the data cannot be read."""
    command = [sys.executable, "-m", "genarena.runs.same_data"]
    done = subprocess.run(command, input=node, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 and done.stdout.strip() else None


def main() -> None:
    """Read the configuration of a data set from stdin and print the data id."""
    from genarena.build import build

    data = build(json.load(sys.stdin), "data")
    data.setup()
    print(data.facts["id"])


if __name__ == "__main__":
    main()
