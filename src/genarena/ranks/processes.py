"""Starts the processes of one run and watches over them: one of them dead ends all, with one error and one exit code.

The first process becomes the launcher and does nothing else, so that it can act whatever state the ranks are in. It hands
each of them the same resolved configuration, and each hands back how it ended. With torchrun or srun, theirs is this part.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from genarena import errors
from genarena.errors import ArenaError, RankDied
from genarena.runs import interruption, results
from genarena.runs.interruption import Interrupted
from genarena.startup import threads

MODULE = "genarena.run"  # what each rank runs: it calls `take_part`
GRACE = 10.0  # seconds that the other ranks have to end by themselves when one has
REPORT = "GENARENA_REPORT"  # the file descriptor through which a rank says how it ended
FORWARDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))


class Ending(NamedTuple):
    """How a rank ended: the name of the error's class, and its one line of text."""

    rank: int
    error: str
    message: str


def launch(resolved: dict[str, Any], num_processes: int) -> dict[str, Any]:
    """Run the configuration in `num_processes` processes of this machine; returns the row.

    Raises what a rank raised (a user's mistake before its consequences), RankDied when one was killed or hung.
    """
    reader, writer = os.pipe()
    processes = [_start(rank, num_processes, writer, port) for port in [_free_port()] for rank in range(num_processes)]
    os.close(writer)
    with _signals_to(processes) as received:
        for process in processes:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(resolved).encode())
                process.stdin.close()
        codes = _watched(processes)
    with os.fdopen(reader) as file:
        heard = [json.loads(line) for line in file]
    if received and any(codes):
        raise Interrupted(received[0])
    folder = next((said["folder"] for said in heard if "folder" in said), None)
    for failure in failures(codes, [Ending(**said) for said in heard if "rank" in said]):
        _make_known(failure, folder)
        raise failure
    return results.read_row(Path(folder) / "result.json")


def _start(rank: int, world_size: int, writer: int, port: int) -> subprocess.Popen:
    available = int(os.environ.get(threads.CHOSEN) or threads.cores())
    environment = {
        threads.OPENMP: str(max(1, available // world_size)),
        **threads.without_choice(os.environ),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        REPORT: str(writer),
    }
    # A session of its own: Ctrl-C reaches the launcher alone, which passes it on to all ranks.
    return subprocess.Popen(
        [sys.executable, "-m", MODULE],
        env=environment,
        stdin=subprocess.PIPE,
        pass_fds=[writer],
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _signals_to(processes: list[subprocess.Popen]) -> Iterator[list[int]]:
    """Pass every signal on to the ranks, which handle it. Yields the list of signals that came."""
    received: list[int] = []

    def forward(number: int, frame: object) -> None:
        received.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in FORWARDED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watched(processes: list[subprocess.Popen]) -> list[int | None]:
    """Wait for all; after the first failure end those that do not end by themselves. Exit codes; None: had to be ended."""
    deadline = None
    while any(process.poll() is None for process in processes):
        time.sleep(0.05)
        if deadline is None and any(process.poll() for process in processes):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            break
    codes = [process.poll() for process in processes]
    for process in processes:  # SIGKILL: one that is stopped, or waits inside a library, heeds nothing else
        if process.poll() is None:
            process.kill()
        process.wait()
    return codes


def failures(codes: list[int | None], endings: list[Ending]) -> list[BaseException]:
    """What went wrong, the most likely cause first: a death, a signal, an error with a name, a rank that hangs, the rest."""
    of = f"of {len(codes)}"
    killed = {rank: signal.Signals(-code).name for rank, code in enumerate(codes) if code is not None and code < 0}
    found: list[BaseException] = [RankDied(f"rank {rank} {of} was killed ({name})") for rank, name in killed.items()]
    found += [Interrupted(code - 128) for code in codes if code and code - 128 in interruption.SIGNALS]
    found += [getattr(errors, said.error)(said.message) for said in endings if hasattr(errors, said.error)]
    found += [
        RankDied(f"rank {rank} {of} did not answer, and was killed") for rank, code in enumerate(codes) if code is None
    ]
    found += [RankDied(f"rank {said.rank}: {said.message}") for said in endings]
    silent = set(range(len(codes))) - {said.rank for said in endings}
    return found + [RankDied(f"rank {rank} {of} ended with exit code {codes[rank]}") for rank in silent if codes[rank]]


def _make_known(failure: BaseException, folder: str | None) -> None:
    """Write why a rank died into the row: rank 0 may have been killed itself, or have seen only that another is gone."""
    path = Path(folder) / "result.json" if folder else None
    if path is None or not path.is_file() or not isinstance(failure, RankDied):
        return
    row = results.read_row(path)
    if row["status"] == "failed":
        results.write_row(row | {"error": str(failure)}, path)


# -- in each rank ------------------------------------------------------------------------------------------------------


def take_part(job: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Read the configuration, run it, say how it ended; the exit code is that of the error's kind."""
    _die_with_the_launcher()
    resolved = json.load(sys.stdin)
    try:
        with interruption.listening():
            job(resolved)
    except BaseException as error:
        kind = type(error).__name__
        line = (str(error).strip().splitlines() or [""])[0]
        named = isinstance(error, ArenaError | Interrupted)
        say(rank=int(os.environ["RANK"]), error=kind, message=(line if named else f"{kind}: {line}")[:2000])
        if not named or resolved["debug"]:
            raise
        sys.exit(error.exit_code)


def say(**facts: Any) -> None:
    """Tell the launcher, where there is one: the folder of the run, or how this rank ended."""
    if REPORT in os.environ:
        os.write(int(os.environ[REPORT]), (json.dumps(facts) + "\n").encode())


def _die_with_the_launcher() -> None:
    """A launcher that is killed takes its ranks along (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
