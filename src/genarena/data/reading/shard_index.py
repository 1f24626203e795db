"""The index of a folder of shards: what each tar file holds, and where every picture lies in it.

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
MAX_CLASSES = 1_000_000  # labels are 0 to one less: a classifier has an output for each
SHARD_NAME = re.compile(r"\w[\w.-]*\.tar")  # nothing that leads out of a folder


class Member(NamedTuple):
    """One picture: its name in the shard, where its bytes lie, and its label, where there is one."""

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
    """One tar file. sha256: of the whole of it."""

    name: str
    size: int
    sha256: str
    members: list[Member]


def look_through(path: Path) -> Shard:
    """The shard as it is. Raises DataError when it is no tar file, or its name cannot stand in an index."""
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
    """A label as it stands in a shard or an index. Raises DataError, which names its place, for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_CLASSES:
        return value
    shown = value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else value
    raise DataError(f"{place} holds the label {shown!r}, expected a whole number from 0 to {MAX_CLASSES - 1:,}")


def write_index(folder: Path) -> list[Shard]:
    """Look through every .tar file of a folder and write its index. Raises DataError where there is none."""
    paths = sorted(path for path in folder.glob("*.tar") if not is_hidden(path.name))
    if not paths:
        raise DataError(f"{folder}: there is no .tar file in it")
    shards = [look_through(path) for path in paths]
    text = json.dumps({"version": VERSION, "shards": [vars(shard) for shard in shards]})
    replace_atomically(folder / INDEX, lambda temporary: temporary.write_text(text))
    return shards


def read_index(content: bytes, place: str) -> list[Shard]:
    """The shards that an index lists; `place` names it in errors. Raises DataError when it is none of ours."""
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
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place} is no index of shards: {error}") from error
    return shards


def chosen(shard: Shard, suffix: str | None) -> Shard:
    """The shard with one picture per key: those with the suffix. Raises DataError where None leaves several, or none."""
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
