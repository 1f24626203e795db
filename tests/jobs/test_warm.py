"""Jobs of a warm process are as far apart as fresh processes: nothing that one does reaches another."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from genarena import config
from genarena.jobs import fork_server, warm
from genarena.jobs.job import Job, job_of
from genarena.jobs.local_jobs import Processes, ProcessHandle
from genarena.jobs.warm import WarmHandle

SCRIPT = """
import json, os, signal, sys, threading, time
task = sys.argv[1]
if task in ("say", "spoil"):
    import torch
if task == "say":
    facts = {
        "before": hasattr(torch, "spoilt"), "folder": os.getcwd(), "name": __name__, "argv": sys.argv[1:], "path": sys.path[0],
        "session": os.getsid(0) == os.getpid(), "parent": int(os.environ["GENARENA_PARENT"]) == os.getppid(),
        "environment": os.environ.get("SPOILT"), "threads": threading.active_count(), "sum": torch.ones(10**6).sum().item(),
        "open": sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")[:-1]),
    }
    print(json.dumps(facts))
elif task == "spoil":
    torch.spoilt = os.environ["SPOILT"] = "yes"
    torch.set_num_threads(2)
    torch.ones(10**6).sum()
    os.chdir("/")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leaked = open(sys.argv[0])
    os.set_inheritable(leaked.fileno(), True)
elif task == "code":
    sys.exit(7)
elif task == "raise":
    raise RuntimeError("broken")
elif task == "crash":
    os.abort()
elif task == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif task == "at_exit":
    import atexit
    atexit.register(print, "the end")
    threading.Thread(target=lambda: (time.sleep(0.3), print("a thread")), daemon=False).start()
elif task == "stay":
    if os.fork():
        print("begun", flush=True)
    time.sleep(600)
elif task == "parent":
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.2)
"""


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


class Bench:
    """Runs tasks of a script, `train.py` in its folder, each as a job of one slot."""

    def __init__(self, folder: Path, processes: Processes, script: Path | None = None) -> None:
        self.folder, self.processes, self.count = folder, processes, 0
        cfg = job_of(config.check(["model=made", "data=digits", f"runs_dir={folder}"])).cfg
        self.jobs = [Job((), cfg | {"seed": seed}, script or folder / "train.py") for seed in range(40)]

    def start(self, task: str) -> WarmHandle | ProcessHandle:
        self.count += 1
        return self.processes.start(self.job, [task], 0)

    @property
    def job(self) -> Job:
        return self.jobs[self.count]

    @property
    def printed(self) -> str:
        return self.job.log.read_text()

    def run(self, task: str) -> int:
        handle = self.start(task)
        wait_for(lambda: handle.poll() is not None)
        return handle.poll()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("warm")
    (folder / "train.py").write_text(SCRIPT)
    processes = Processes(1)
    yield Bench(folder, processes)
    processes.close()


def test_no_job_notices_another(bench: Bench) -> None:
    assert bench.run("say") == 0
    first = json.loads(bench.printed)
    server = bench.processes.warm[0].process.pid
    wanted = {
        "before": False,
        "folder": os.getcwd(),
        "name": "__main__",
        "argv": ["say"],
        "path": str(bench.folder),
        "session": True,
        "parent": True,
        "environment": None,
        "threads": 1,
        "sum": 1e6,
    }
    assert {key: first[key] for key in wanted} == wanted
    assert first["open"].count(str(bench.job.log)) == 2 and "socket" not in "".join(first["open"])
    codes = {"spoil": 0, "code": 7, "raise": 1, "crash": -signal.SIGABRT, "kill": -signal.SIGKILL, "at_exit": 0}
    for task, code in codes.items():
        assert bench.run(task) == code, task
        if task == "raise":
            assert bench.printed.endswith("RuntimeError: broken\n") and bench.printed.startswith("Traceback")
    assert bench.printed == "a thread\nthe end\n"
    assert bench.run("say") == 0
    again = json.loads(bench.printed)
    assert {key: again[key] for key in wanted} == wanted and len(again["open"]) == len(first["open"])
    assert bench.processes.warm[0].process.pid == server  # all of them were its children


def test_a_job_is_asked_to_end_once_and_killed_with_its_children(bench: Bench) -> None:
    handle = bench.start("stay")
    wait_for(lambda: handle.poll() is None and "begun" in bench.printed)
    family = [psutil.Process(handle.pid), *psutil.Process(handle.pid).children()]
    handle.stop()
    handle.stop()
    wait_for(lambda: handle.poll() is not None)
    assert handle.poll() == -signal.SIGTERM
    os.killpg(handle.pid, signal.SIGKILL)  # the child that the job left behind
    handle = bench.start("stay")
    wait_for(lambda: handle.poll() is None and "begun" in bench.printed)
    family += [psutil.Process(handle.pid), *psutil.Process(handle.pid).children()]
    handle.kill()
    assert handle.poll() == -signal.SIGKILL and len(family) == 4
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert bench.run("code") == 7


def test_a_job_that_kills_its_parent_fails_and_the_next_has_a_new_one(bench: Bench) -> None:
    assert bench.run("code") == 7
    server = bench.processes.warm[0].process.pid
    assert bench.run("parent") == -signal.SIGKILL
    assert bench.run("code") == 7
    assert bench.processes.warm[0].process.pid != server


def test_a_job_is_stopped_while_its_process_imports(bench: Bench) -> None:
    bench.processes.close()
    handle = bench.start("say")
    handle.stop()
    assert handle.poll() == -signal.SIGTERM and bench.printed == ""


@pytest.mark.parametrize("why", ["elsewhere", pytest.param("broken", marks=pytest.mark.slow)])
def test_where_forking_is_not_safe_a_job_is_a_fresh_process(
    why: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "elsewhere":
        monkeypatch.setattr(warm.sys, "platform", "darwin")
    else:
        monkeypatch.setattr(fork_server, "__name__", "genarena.jobs.absent")
    processes = Processes(1)
    other = Bench(bench.folder / why, processes, bench.folder / "train.py")
    assert other.run("code") == 7 and other.run("raise") == 1
    assert other.printed.endswith("RuntimeError: broken\n") and not processes.is_forking
    assert isinstance(other.start("code"), ProcessHandle)
    processes.close()


def test_a_process_with_threads_or_a_cuda_context_is_not_forked() -> None:
    program = """
import threading, torch
torch._C._cuda_getDeviceCount = torch._C._cuda_init = None  # whoever looks for GPUs now, fails
import genarena.run
from genarena.jobs import fork_server
assert fork_server.is_safe()
torch.cuda.is_initialized = lambda: True
assert not fork_server.is_safe()
torch.cuda.is_initialized = lambda: False
fork_server.GPUS = ("pipe:", "/")  # as if the output were one
assert not fork_server.is_safe()
fork_server.GPUS = ()
assert fork_server.is_safe()
threading.Thread(target=threading.Event().wait, daemon=True).start()
assert not fork_server.is_safe()
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_nothing_is_left_when_the_launcher_is_killed(bench: Bench) -> None:
    """kill -9 of the launcher: the warm process ends, and the job notices."""
    program = f"""
import time
from pathlib import Path
from genarena.jobs import local_jobs
from tests.jobs.test_warm import Bench
script, folder = Path({str(bench.folder / "train.py")!r}), Path({str(bench.folder / "killed")!r})
handle = (bench := Bench(folder, local_jobs.Processes(1), script)).start("stay")
while handle.poll() is None: time.sleep(0.02)
"""
    launcher = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    wait_for(lambda: any("begun" in log.read_text() for log in bench.folder.glob("killed/.jobs/*.log")))
    (server,) = psutil.Process(launcher.pid).children()
    (job,) = server.children()
    launcher.kill()
    launcher.wait()
    assert not psutil.wait_procs([server], timeout=30)[1]
    os.killpg(job.pid, signal.SIGKILL)  # SCRIPT does not call `die_with_parent`; train.py does
