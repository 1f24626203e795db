"""Checkpoints: files with only tensors and plain containers, written atomically and sealed with their sha256.

A file without a matching seal (`genarena.runs.seals`) is not loaded. Temporary files are written in the folder of the target,
not in TMPDIR, which may be on another disk.
"""

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import torch as safetensors
from torch import Tensor

from genarena.errors import Untrusted, printable
from genarena.files import foreign
from genarena.files.atomic import NO_ROOM, flush_folder, no_room
from genarena.runs import seals
from genarena.runs.seals import seal

TEMPORARY = re.compile(r"\.\w+\.(ckpt|safetensors)(\.sha256)?\.\d+")  # from `_beside` and `replace_atomically`


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain containers, read the file back, and only then replace the old file.

    Raises DiskFull, with the needed size; the old file is then unchanged. Raises Untrusted if the file read back differs.
    """
    _write(path, lambda file: torch.save(content, file), _open)


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict in the format of safetensors, in the same way as `save`."""
    plain = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in weights.items()}
    _write(path, lambda file: file.write(safetensors.save(plain)), safetensors.load_file)


def load(path: str | Path, map_location: Any | None = None) -> dict[str, Any]:
    """The content of a sealed local file (`{"state_dict": ...}` of a .safetensors file), on the CPU by default.

    Raises Untrusted if the file is missing, damaged or unsealed, or contains anything but tensors and plain containers. No
    other object is unpickled and nothing is downloaded, whatever the environment variables say.
    """
    path = Path(path)
    with _opened(path) as file:
        seals.check(hashlib.file_digest(file, "sha256").hexdigest(), path)
        file.seek(0)
        with _refused(path):
            if path.suffix == ".safetensors":
                return {"state_dict": safetensors.load(file.read())}
            return torch.load(file, map_location=map_location or "cpu", weights_only=True)


def verify(path: Path) -> None:
    """Raise Untrusted if `load` would raise it, without reading the tensors into memory."""
    with _opened(path) as file:
        seals.check(hashlib.file_digest(file, "sha256").hexdigest(), path)
    with _refused(path):
        (safetensors.load_file if path.suffix == ".safetensors" else _open)(path)


def promote(source: Path, target: Path, copy: bool = False) -> None:
    """Make the sealed file `source` available under the name `target` too. The old `target` is replaced atomically.

    copy: copy the bytes, so that damage to one file does not affect the other; else make a hard link if possible.
    """
    temporary = _beside(target)
    temporary.unlink(missing_ok=True)
    with _room_for(target, temporary, lambda: source.stat().st_size):
        if copy or not _linked(source, temporary):
            shutil.copyfile(source, temporary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        _install(temporary, target, seals.digests(source)[0])


def remove(path: Path) -> None:
    """Remove a sealed file and its seal."""
    path.unlink(missing_ok=True)
    seal(path).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove incomplete files of killed processes from the checkpoints of a run. This process must hold the run folder.

    Removes `new.ckpt` and the temporary files (`.<name>.<process id>`) of checkpoints and seals, and nothing else.
    """
    for path in folder.glob(".*"):
        if TEMPORARY.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
    remove(folder / "new.ckpt")


def exists(path: Path) -> bool:
    """Whether the file was ever written: the file or its seal exists."""
    return path.exists() or seal(path).exists()


def newest_sound(*paths: Path, set_aside: bool = True) -> Path | None:
    """The first of `paths` that can be loaded; None if none of them was ever written.

    Prints a warning for each damaged file before it. set_aside: also rename these files to `<name>.damaged`, so that they are
    not tried again; only the process that holds the run folder may do this. Raises Untrusted if all existing files are damaged.
    """
    broken = []
    for path in filter(exists, paths):
        try:
            verify(path)
        except Untrusted as error:
            broken.append((path, str(error)))
            continue
        for damaged, text in broken:
            print(printable(f"warning: {text}; going back to {path}"), file=sys.stderr, flush=True)
            if set_aside and damaged.exists():
                os.replace(damaged, damaged.with_name(f"{damaged.name}.damaged"))
            if set_aside:
                seal(damaged).unlink(missing_ok=True)
        return path
    if broken:
        raise Untrusted("; ".join(text for _, text in broken))
    return None


class _Recorder:
    """A file that hashes and counts the written bytes. On a full disk it continues to count, to find the needed size."""

    file: BinaryIO

    def __init__(self) -> None:
        self.digest, self.size = hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        self.digest.update(rest)
        self.size += size
        try:
            while rest.nbytes and self.error is None:
                rest = rest[self.file.write(rest) :]
        except OSError as error:  # torch's writer cannot handle an exception here
            self.error = error
        return size

    def flush(self) -> None:
        """Do nothing: `_write` flushes the file once, at the end."""


def _write(path: Path, write: Callable[[_Recorder], object], read: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, recorder = _beside(path), _Recorder()
    try:
        with _room_for(path, temporary, lambda: recorder.size), open(temporary, "wb", buffering=0) as file:
            recorder.file = file
            write(recorder)
            if recorder.error is not None:
                raise recorder.error
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):  # drops the page cache, so that the file is read back from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        sha256 = recorder.digest.hexdigest()
        if seals.digest(temporary) != sha256:
            raise Untrusted(f"{path}: what was read back is not what was written; the disk is failing")
        read(temporary)
        _install(temporary, path, sha256)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _room_for(path: Path, temporary: Path, size: Callable[[], int]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(path, temporary, size()) from error
        raise


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # some file systems have no links
        return False
    return True


def _install(temporary: Path, path: Path, sha256: str) -> None:
    with seals.replaced(path, sha256):
        os.replace(temporary, path)
        flush_folder(path.parent)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # torch raises many kinds of exceptions for damaged files
        lines = str(error).strip().splitlines()
        raise Untrusted(f"{path} is damaged or holds more than tensors ({lines[0] if lines else error!r})") from error


def _opened(path: Path) -> BinaryIO:
    try:
        return foreign.opened(path)
    except OSError as error:
        raise Untrusted(f"{path} cannot be read: {error.strerror}; only local files are loaded") from error


def _open(path: Path) -> object:
    return torch.load(path, map_location="cpu", mmap=True, weights_only=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")
