"""The index of a folder of shards: the pictures in each tar file, with their offsets.

A shard holds `<key>.<suffix>` and, with labels, `<key>.cls` with a whole number (WebDataset's layout); a key ends at the
first dot, so that `7.jpg`, `7.seg.png` and `7.cls` belong together.
"""

import hashlib
import json
import re
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from genarena.data.reading.folders import is_picture
from genarena.errors import DataError
from genarena.files.atomic import replace_atomically
from genarena.files.boundary import reading
from genarena.files.walk import is_hidden

INDEX = "index.json"
VERSION = 2  # in version 1 a key ended at the last dot
MAX_CLASSES = 1_000_000  # labels are below this
SHARD_NAME = re.compile(r"\w[\w.-]*\.tar")  # no path: it cannot leave the folder


class Member(NamedTuple):
    """One picture: its name in the shard, the offset and size of its bytes, and its label, if it has one."""

    name: str
    offset: int
    size: int
    label: int | None

    @property
    def key(self) -> str:
        return split_name(self.name)[0]

    @property
    def suffix(self) -> str:
        return split_name(self.name)[1]


def split_name(name: str) -> tuple[str, str]:
    """`a.folder/7.seg.png` -> (`a.folder/7`, `seg.png`)."""
    folder, _, last = name.rpartition("/")
    stem, _, suffix = last.partition(".")
    return f"{folder}/{stem}", suffix


@dataclass(frozen=True)
class Shard:
    """One tar file. size: bytes. sha256: of the whole file."""

    name: str
    size: int
    sha256: str
    members: list[Member]


def look_through(path: Path) -> Shard:
    """Read the names, offsets and labels in a shard. Raises DataError if it is no tar file, or for a refused name."""
    if not SHARD_NAME.fullmatch(path.name):
        raise DataError(f"{path}: the name of a shard has letters, digits, . _ and - only, and ends in .tar")
    if not path.is_file():  # a device never ends
        raise DataError(f"{path}: it is no regular file")
    found: list[tuple[str, int, int]] = []
    labels: dict[str, int] = {}
    with reading(path, "a tar file of pictures"), tarfile.open(path, "r:") as archive:
        for entry in archive:
            if not entry.isreg() or any(map(is_hidden, PurePosixPath(entry.name).parts)):
                continue
            key, suffix = split_name(entry.name)
            if is_picture(entry.name):
                found.append((entry.name, entry.offset_data, entry.size))
            elif suffix == "cls":
                content = archive.extractfile(entry).read(32).strip()
                labels[key] = as_label(int(content) if content.isdigit() else content, f"{path}/{entry.name}")
    members = [Member(*entry, labels.get(split_name(entry[0])[0])) for entry in found]
    return Shard(path.name, path.stat().st_size, sha256(path), members)


def as_label(value: Any, place: str) -> int:
    """`value`, checked to be a label. Raises DataError, which names `place`, if it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_CLASSES:
        return value
    shown = value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else value
    raise DataError(f"{place} holds the label {shown!r}, expected a whole number from 0 to {MAX_CLASSES - 1:,}")


def write_index(folder: Path) -> list[Shard]:
    """Read every .tar file of a folder and write the index. Raises DataError if there is no .tar file."""
    paths = sorted(path for path in folder.glob("*.tar") if not is_hidden(path.name))
    if not paths:
        raise DataError(f"{folder}: there is no .tar file in it")
    shards = [look_through(path) for path in paths]
    text = json.dumps({"version": VERSION, "shards": [vars(shard) for shard in shards]})
    replace_atomically(folder / INDEX, lambda temporary: temporary.write_text(text))
    return shards


def read_index(content: bytes, place: str) -> list[Shard]:
    """The shards that an index lists; `place` names it in errors. Raises DataError if it is no valid index."""
    try:
        loaded = json.loads(content)
        if loaded["version"] not in (1, VERSION):
            raise ValueError(f"its version is {loaded['version']}, expected {VERSION}")
        shards = [Shard(**node) for node in loaded["shards"]]
        for shard in shards:
            if not SHARD_NAME.fullmatch(shard.name):
                raise ValueError(f"{shard.name!r} is no name of a shard")
            shard.members[:] = [Member(*member) for member in shard.members]
            for member in shard.members:
                if member.label is not None:
                    as_label(member.label, f"{place}: {shard.name}/{member.name}")
            if any(member.offset < 0 or not 0 <= member.size <= shard.size - member.offset for member in shard.members):
                raise ValueError(f"{shard.name} has pictures outside itself")
            if loaded["version"] == 1 and any("." in member.suffix for member in shard.members):
                raise ValueError("it is of an older version: make it again with make_shards.py shards=<folder>")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{place} is no index of shards: {error}") from error
    return shards


def chosen(shard: Shard, suffix: str | None) -> Shard:
    """The shard with one picture per key: those with `suffix`, or all. Raises DataError if a key has several pictures, or no
    picture has the suffix."""
    if suffix is not None:
        members = [member for member in shard.members if member.suffix == suffix.removeprefix(".")]
        if shard.members and not members:
            known = ", ".join(sorted({member.suffix for member in shard.members}))
            raise DataError(f"data.picture={suffix}: {shard.name} has no such pictures, it has {known}")
        return replace(shard, members=members)
    seen: dict[str, Member] = {}
    for member in shard.members:
        other = seen.setdefault(member.key, member)
        if other is not member:
            raise DataError(
                f"{shard.name} has several pictures of one key ({other.name}, {member.name}): choose by "
                f"data.picture={other.suffix} or data.picture={member.suffix}"
            )
    return shard


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
