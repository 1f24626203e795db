"""The manifest of a prepared data set: which files it consists of, their sha256, and what was read from them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from genarena.data.reading.folders import OURS
from genarena.errors import DataError, Untrusted
from genarena.files.atomic import replace_atomically
from genarena.files.progress import Bars
from genarena.files.walk import walk


def describe(folder: Path) -> dict[str, dict[str, Any]]:
    """Relative path -> size and sha256 of every file below a folder, sorted. Hidden and partial files are left out."""
    names = [name for name in walk(folder).files if (folder / name).is_file() and not name.endswith(OURS)]
    files = {}
    with Bars() as bars:
        for name in bars.track(names, f"checking {folder.name}"):
            with open(folder / name, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = {"bytes": (folder / name).stat().st_size, "sha256": digest}
    return files


def compare(manifest: Path, files: dict[str, dict[str, Any]]) -> None:
    """Raise Untrusted if a file of an earlier manifest is missing or has changed, DataError if it cannot be read."""
    try:
        known = json.loads(manifest.read_text())["files"]
        changed = [name for name, facts in known.items() if files.get(name) != facts]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{manifest} is no manifest: {error}; remove it and try again") from error
    if changed:
        how = "differs" if changed[0] in files else "is gone"
        raise Untrusted(
            f"{changed[0]} {how}, and so do {len(changed) - 1} of {len(known):,} files more, since {manifest} was "
            "written: put the right ones back, or remove it"
        )


def write(manifest: Path, facts: dict[str, Any], files: dict[str, dict[str, Any]]) -> None:
    """Write the manifest: `data`, the record of the data set in rows, and `files`, what it was read from."""
    text = json.dumps({"data": facts, "files": files}, indent=1, allow_nan=False)
    replace_atomically(manifest, lambda temporary: temporary.write_text(text + "\n"))
