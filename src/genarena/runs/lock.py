"""The lock of a run folder: only one process may work in it. Imports no torch."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import psutil

from genarena.errors import FolderInUse, printable
from genarena.files import foreign
from genarena.runs import status

_held: set[int] = set()  # file descriptors of the held locks


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder. Raises FolderInUse if another live process holds it; does not wait.

    The kernel releases the lock when its process ends. Some file systems have no locks, or do not share them between machines;
    then the last heartbeat in `status.json` decides whether the other process is alive.
    """
    path = folder / ".lock"
    foreign.check_link(path)
    with open(path, "a+") as file:
        shared = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FolderInUse(f"{folder} is in use by {_holder(file)}") from error
            shared = False  # the file system has no locks
        _refuse_the_living(folder, shared)
        _say_who(file)
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())


def _say_who(file: TextIO) -> None:
    """Write id and host of this process into the lock file, because `status.json` is written only later."""
    with suppress(OSError):  # the disk may be full; later writes report that
        file.truncate(0)
        file.write(f"{os.getpid()} {status.socket.gethostname()}\n")
        file.flush()


def _holder(file: TextIO) -> str:
    """The process that holds the lock, as text. A dead process is not named: the new holder has not written its id yet."""
    file.seek(0)
    pid, _, host = file.read(300).strip().partition(" ")
    here = host == status.socket.gethostname()
    alive = pid.isdecimal() and len(pid) < 10 and (not here or psutil.pid_exists(int(pid)))
    return status.who({"pid": pid, "host": host} if alive else None)


def _refuse_the_living(folder: Path, locks: bool) -> None:
    """Raise FolderInUse if `status.json` names a live process whose lock is not visible to this process.

    locks: this process got the kernel's lock, so that no other process on this machine holds the folder.
    """
    facts = status.read(folder)
    if facts is None or facts.get("state") not in status.RUNNING or facts["pid"] == os.getpid():
        return
    here = facts.get("host") == status.socket.gethostname()
    if not (here and locks) and status.is_alive(folder, facts):
        raise FolderInUse(f"{folder} is in use by {status.who(facts)}")
    text = f"note: {status.who(facts)} is gone; this one takes over {folder}"
    print(printable(text), file=sys.stderr, flush=True)


def _in_child() -> None:
    """Close the locks in a forked loader worker. Otherwise the folder would stay locked after its parent was killed."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_in_child)
