"""One process per run folder. No torch here."""

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

_held: set[int] = set()  # descriptors


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder. Raises FolderInUse at once when another process does; what a dead one held is taken over.

    The kernel's lock ends with its process. Where the file system has none, or does not share it with another machine that
    works in the folder, the last sign of life in `status.json` decides.
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
            shared = False  # no locks here
        _refuse_the_living(folder, shared)
        _say_who(file)
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())


def _say_who(file: TextIO) -> None:
    """Write into the lock file which process holds it; `status.json` says so only later."""
    with suppress(OSError):  # a full disk is reported by whoever needs it
        file.truncate(0)
        file.write(f"{os.getpid()} {status.socket.gethostname()}\n")
        file.flush()


def _holder(file: TextIO) -> str:
    """The process that holds the lock. Until it has written its name the file may name one that is dead: that is not told."""
    file.seek(0)
    pid, _, host = file.read(300).strip().partition(" ")
    here = host == status.socket.gethostname()
    alive = pid.isdecimal() and len(pid) < 10 and (not here or psutil.pid_exists(int(pid)))
    return status.who({"pid": pid, "host": host} if alive else None)


def _refuse_the_living(folder: Path, locks: bool) -> None:
    """Raise FolderInUse when a living process works in the folder without a lock that we can see.

    locks: the kernel's lock was got, so nobody on this machine works here.
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
    """A forked loader worker must not keep the folder when its parent is killed."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_in_child)
