"""Starts and watches the processes of one run. If one of them dies, all end, with one error and one exit code.

The first process becomes the launcher and does nothing else, so that it can act whatever happens to the ranks. It sends the
same resolved configuration to all ranks, and each reports how it ended. With torchrun or srun, those programs do this work.
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

MODULE = "genarena.run"  # the module that each rank runs; it calls `take_part`
GRACE = 10.0  # seconds for the other ranks to end by themselves after one has failed
REPORT = "GENARENA_REPORT"  # environment variable: the file descriptor for a rank's report
FORWARDED = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))


class Ending(NamedTuple):
    """How a rank ended: the class name of its error, and the error's text in one line."""

    rank: int
    error: str
    message: str


def launch(resolved: dict[str, Any], num_processes: int) -> dict[str, Any]:
    """Run the configuration in `num_processes` local processes; returns the row.

    Raises the error of a rank, the most likely cause first; RankDied if a rank was killed or hung.
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
    # Its own session, so that Ctrl-C reaches only the launcher, which passes it on to all ranks.
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
    """Pass every signal on to the ranks, which handle it. Yields the list of signals received."""
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
    """Wait for all. After the first failure, kill ranks that do not end by themselves. Exit codes; None: was killed here."""
    deadline = None
    while any(process.poll() is None for process in processes):
        time.sleep(0.05)
        if deadline is None and any(process.poll() for process in processes):
            deadline = time.monotonic() + GRACE
        if deadline is not None and time.monotonic() > deadline:
            break
    codes = [process.poll() for process in processes]
    for process in processes:  # SIGKILL: nothing else ends a process that is stopped or hangs in a library
        if process.poll() is None:
            process.kill()
        process.wait()
    return codes


def failures(codes: list[int | None], endings: list[Ending]) -> list[BaseException]:
    """The failures, the most likely cause first: killed ranks, signals, errors of genarena, hanging ranks, all others."""
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
    """Write the reason of a rank's death into the row. Rank 0 may itself have been killed, or not know the reason."""
    path = Path(folder) / "result.json" if folder else None
    if path is None or not path.is_file() or not isinstance(failure, RankDied):
        return
    row = results.read_row(path)
    if row["status"] == "failed":
        results.write_row(row | {"error": str(failure)}, path)


# -- in each rank ------------------------------------------------------------------------------------------------------


def take_part(job: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """In each rank: read the configuration, run it, report how it ended. The exit code is that of the error's class."""
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
    """Report to the launcher, if there is one: the folder of the run, or how this rank ended."""
    if REPORT in os.environ:
        os.write(int(os.environ[REPORT]), (json.dumps(facts) + "\n").encode())


def _die_with_the_launcher() -> None:
    """Make this rank die when the launcher is killed (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
