"""One process per run folder: the second is refused, the dead are taken over."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from genarena.errors import FolderInUse
from genarena.runs import status
from genarena.runs.lock import locked
from genarena.runs.status import Status

HOLDER = """
import os, sys, time
from pathlib import Path
from genarena.runs.lock import locked
from genarena.runs.status import Status
folder = Path(sys.argv[1])
with locked(folder), Status(folder):
    if os.fork() == 0:  # a loader worker
        print(os.getpid(), flush=True)
    time.sleep(60)
"""


def write_status(folder: Path, **facts: object) -> None:
    (folder / "status.json").write_text(json.dumps({"state": "training", "pid": 1, "host": "elsewhere", **facts}))


def test_a_living_process_is_named_and_a_killed_one_is_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    worker = int(process.stdout.readline())
    try:
        with pytest.raises(FolderInUse, match=f"in use by process {process.pid} on"), locked(tmp_path):
            pass
        assert process.poll() is None
        process.kill()
        process.wait()
        with locked(tmp_path):  # its worker lives on and must not hold the folder
            assert f"process {process.pid} on" in capsys.readouterr().err
    finally:
        os.kill(worker, 9)


def test_the_loser_is_not_told_of_a_dead_process(tmp_path: Path) -> None:
    """The winner has the lock and has not said so yet: `status.json` and the lock file are those of a dead process."""
    dead = 2**22 + 1
    write_status(tmp_path, state="interrupted", pid=dead, host=status.socket.gethostname())
    with open(tmp_path / ".lock", "a") as winner:
        fcntl.flock(winner, fcntl.LOCK_EX)
        for said in ("", f"{dead} {status.socket.gethostname()}\n", "nonsense", "9" * 400):
            (tmp_path / ".lock").write_text(said)
            with pytest.raises(FolderInUse, match="in use by another process$"), locked(tmp_path):
                pass
        (tmp_path / ".lock").write_text(f"{os.getppid()} {status.socket.gethostname()}\n")
        with pytest.raises(FolderInUse, match=f"in use by process {os.getppid()} on"), locked(tmp_path):
            pass


def test_another_machine_is_believed_while_it_shows_life(tmp_path: Path) -> None:
    write_status(tmp_path)
    with pytest.raises(FolderInUse, match="process 1 on elsewhere"), locked(tmp_path):
        pass
    long_ago = (tmp_path / "status.json").stat().st_mtime - status.DEAD - 10
    os.utime(tmp_path / "status.json", (long_ago, long_ago))
    with locked(tmp_path):
        pass
    write_status(tmp_path, state="finished")
    with locked(tmp_path):
        pass


def test_without_locks_of_the_kernel_the_process_id_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("genarena.runs.lock.fcntl.flock", unsupported)
    write_status(tmp_path, host=status.socket.gethostname(), pid=os.getppid())
    with pytest.raises(FolderInUse), locked(tmp_path):
        pass
    write_status(tmp_path, host=status.socket.gethostname(), pid=2**22 + 1)
    with locked(tmp_path):
        pass


def test_status_tells_what_the_run_does(tmp_path: Path) -> None:
    with Status(tmp_path) as kept:
        facts = status.read(tmp_path)
        assert (facts["state"], facts["pid"], facts["host"]) == ("starting", os.getpid(), status.socket.gethostname())
        assert status.is_alive(tmp_path, facts)
        kept.write(state="training", progress=0.5)
        assert status.read(tmp_path)["progress"] == 0.5
    assert status.read(tmp_path)["state"] == "finished"
    assert not status.is_alive(tmp_path, status.read(tmp_path))
    with pytest.raises(ValueError, match="bad"), Status(tmp_path):
        raise ValueError("bad\nworse")
    facts = status.read(tmp_path)
    assert (facts["state"], facts["error"]) == ("failed", "bad")
    for text in ("", "{", "[]", '{"pid": "x"}', '{"pid": -1}', '{"pid": 1e9}', f'{{"pid": {10**40}}}', "[" * 100_000):
        (tmp_path / "status.json").write_text(text)
        assert status.read(tmp_path) is None


HANGING = """
import multiprocessing, os, signal, sys, time
from pathlib import Path
from genarena import cli
from genarena.runs.status import Status
def fails(error): Path(sys.argv[1], "row").write_text(str(error))
def work():
    with Status(Path(sys.argv[1]), fails) as status:
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        worker.start()
        os.kill(worker.pid, signal.SIGSTOP)
        print(worker.pid, flush=True)
        status.watch(1.0)
        worker.join()
cli.guard(work)
"""


def test_a_process_that_waits_for_a_stopped_worker_ends(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HANGING, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "error: nothing was done for 1 s (trainer.timeout)" in done.stderr
    assert "nothing was done" in (tmp_path / "row").read_text()
    assert status.read(tmp_path)["state"] == "failed"
    gone = psutil.pid_exists(int(done.stdout)) is False
    assert gone or psutil.Process(int(done.stdout)).status() == psutil.STATUS_ZOMBIE  # the worker is dead too
