"""One process per run folder. No torch here."""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from genarena.errors import FolderInUse
from genarena.runs import status

_held: set[int] = set()  # descriptors


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder. Raises FolderInUse at once when another process does; what a dead one held is taken over.

    The kernel's lock ends with its process. Where the file system has none, or does not share it with another machine that
    works in the folder, the last sign of life in `status.json` decides.
    """
    with open(folder / ".lock", "a") as file:
        facts = status.read(folder)
        shared = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise FolderInUse(f"{folder} is in use by {status.who(facts)}") from error
            shared = False  # no locks here
        _refuse_the_living(folder, shared)
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())


def _refuse_the_living(folder: Path, locks: bool) -> None:
    """locks: the kernel's lock was got, so nobody on this machine works here."""
    facts = status.read(folder)
    if facts is None or facts.get("state") not in status.RUNNING or facts["pid"] == os.getpid():
        return
    here = facts.get("host") == status.socket.gethostname()
    if not (here and locks) and status.is_alive(folder, facts):
        raise FolderInUse(f"{folder} is in use by {status.who(facts)}")
    print(f"note: {status.who(facts)} is gone; this one takes over {folder}", file=sys.stderr, flush=True)


def _in_child() -> None:
    """A forked loader worker must not keep the folder when its parent is killed."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_in_child)
