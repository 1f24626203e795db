"""Safe unpacking of zip and tar archives from anywhere: only into the given folder, within limits, completely or not at all.

Refused: absolute paths, paths that leave the folder, links, devices, names that repeat or differ only in case, and archives
that unpack into more bytes than they declare or than are allowed.
"""

import errno
import gzip
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from genarena.errors import DataError, Untrusted
from genarena.files.progress import Bars

MAX_BYTES = 500 * 10**9  # of all that is unpacked
MAX_MEMBERS = 3_000_000
MAX_RATIO = 1_032  # the most that deflate can reach; a zip that claims more has overlapping parts
BLOCK = 2**20
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # of zipfile: a way of compression or a version that it does not know
    ValueError,
    OSError,
)
# errno of an OSError that is the archive's fault: None (gzip checksum), a negative offset, impossible names
OF_THE_ARCHIVE = (None, errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


def unpack(archive: Path, folder: Path, inner: str = "", max_bytes: int = MAX_BYTES) -> None:
    """Unpack a .zip, .tar, .tar.gz or .tgz file into a new `folder`, which gets its name only when it is complete.

    inner: keep only this folder of the archive, as `folder`.
    Raises Untrusted for an archive that is refused, DataError for a damaged one, or if `folder` exists.
    """
    if folder.exists():
        raise DataError(f"{folder} is there: {archive.name} is unpacked into a new folder only")
    half = folder.with_name(f".{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, half, max_bytes)
        else:
            _unpack_tar(archive, half, max_bytes)
        if not (half / inner).is_dir():
            raise DataError(f"{archive} has no folder {inner}")
        os.replace(half / inner, folder)
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in OF_THE_ARCHIVE:
            raise
        raise DataError(f"{archive} is damaged or no archive: {str(error) or type(error).__name__}") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def _unpack_zip(archive: Path, folder: Path, max_bytes: int) -> None:
    with zipfile.ZipFile(archive) as opened, Bars() as bars:
        members = opened.infolist()
        _refuse_size(archive, len(members), sum(member.file_size for member in members), max_bytes)
        packed = sum(member.compress_size for member in members)
        if sum(member.file_size for member in members) > MAX_RATIO * max(packed, 1):
            raise Untrusted(f"{archive} claims to unpack {MAX_RATIO} times its size")
        seen: set[str] = set()
        for member in bars.track(members, f"unpacking {archive.name}"):
            mode = member.external_attr >> 16
            if stat.S_ISLNK(mode) or (stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))):
                raise Untrusted(f"{archive}: {member.filename!r} is a link or a device")
            if member.flag_bits & 1:
                raise Untrusted(f"{archive}: {member.filename!r} is encrypted")
            target = _place(archive, member.filename, folder, seen)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with opened.open(member) as source:
                _write(archive, source, target, member.file_size)


def _unpack_tar(archive: Path, folder: Path, max_bytes: int) -> None:
    with open(archive, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if packed else open)(archive, "rb") as raw, tarfile.open(fileobj=raw, mode="r|") as opened:
        seen: set[str] = set()
        total = 0
        for count, member in enumerate(opened, 1):
            total += member.size
            _refuse_size(archive, count, total, max_bytes)
            if not (member.isreg() or member.isdir()) or member.issparse():
                raise Untrusted(f"{archive}: {member.name!r} is a link, a device or sparse")
            target = _place(archive, member.name, folder, seen)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            with opened.extractfile(member) as source:
                _write(archive, source, target, member.size)
        while block := raw.read(BLOCK):  # a gzip checksum stands at the end
            total += len(block)
            _refuse_size(archive, 0, total, max_bytes)


def _refuse_size(archive: Path, members: int, size: int, max_bytes: int) -> None:
    if members > MAX_MEMBERS or size > max_bytes:
        raise Untrusted(
            f"{archive} unpacks into {members:,} files of {size:,} bytes; at most {MAX_MEMBERS:,} and "
            f"{max_bytes:,} are allowed"
        )


def _place(archive: Path, name: str, folder: Path, seen: set[str]) -> Path:
    """The target path of a member. Raises Untrusted for a name that leaves the folder, or that was used before."""
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if (
        not name
        or path.is_absolute()
        or windows.drive
        or windows.root
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
    ):
        raise Untrusted(f"{archive}: the name {name!r} leaves the folder")
    key = str(path).casefold()
    if key in seen and not name.endswith("/"):
        raise Untrusted(f"{archive}: the name {name!r} comes twice")
    seen.add(key)
    return folder / path


def _write(archive: Path, source: IO[bytes], target: Path, size: int) -> None:
    """Copy `source` into a new file, with default owner, mode and time. Raises DataError if it has not `size` bytes."""
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with open(target, "xb") as file:
        while block := source.read(BLOCK):
            written += len(block)
            file.write(block)
    if written != size:
        raise DataError(f"{archive} is damaged: {target.name!r} ends after {written:,} of {size:,} bytes")
