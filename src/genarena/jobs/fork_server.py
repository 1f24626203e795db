"""A process that has imported what a run needs, and forks a child per job: `python -m genarena.jobs.fork_server <socket>`.

The child is as a fresh `python train.py` would be: it has the environment that this process was started with, a session of
its own, its log as output, and ends as every interpreter ends. What it changes, leaks or breaks is its own copy. This process
does nothing but fork and wait, so it has no thread and no CUDA context that a fork would tear apart.
"""

import contextlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from typing import Any

PARENT = "GENARENA_PARENT"  # in the environment of a job: the id of the process that started it
LONGEST = 2**18  # bytes of a message
POLL = 0.05  # seconds
GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri")  # files that a process has open when it uses one


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Do what the launcher asks for, one job at a time. Returns None when it is gone, and in each child its job."""
    child = 0
    while True:
        if select.select([control], [], [], POLL if child else None)[0]:
            packet = control.recv(LONGEST)
            if not packet:  # the launcher has ended; the child notices that this process does, too
                return None
            message = json.loads(packet)
            if "signal" not in message:
                child = os.fork()
                if child == 0:
                    control.close()
                    return message
                _tell(control, pid=child)
            elif child:
                send = os.killpg if message["whole_group"] else os.kill
                send(child, message["signal"])
        if child:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                child = 0
                _tell(control, code=os.waitstatus_to_exitcode(status))


def _tell(control: socket.socket, **facts: Any) -> None:
    with contextlib.suppress(OSError):  # the launcher has ended: the next `recv` says so
        control.send(json.dumps(facts).encode())


def become(job: dict[str, Any], environment: dict[str, str], server: int) -> None:
    """In the child: run the script of the job as `python <script> <arguments>` does."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment | {PARENT: str(server)})
    with open(os.devnull, "rb") as nothing, open(job["log"], "ab") as log:
        for file, number in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(file.fileno(), number)
    sys.argv = [job["script"], *job["arguments"]]
    sys.path[0] = os.path.dirname(job["script"])
    runpy.run_path(job["script"], run_name="__main__")


def is_safe() -> bool:
    """Whether this process may be forked: it has no thread of Python's, and has not opened a GPU.

    The threads of OpenMP would not survive either, but there are none before the first computation.
    """
    import torch

    opened = [os.readlink(link.path) for link in os.scandir("/proc/self/fd") if os.path.islink(link.path)]
    on_gpu = torch.cuda.is_initialized() or any(name.startswith(GPUS) for name in opened)
    return threading.active_count() == 1 and not on_gpu


def main() -> None:
    environment, server = dict(os.environ), os.getpid()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    import torch._dynamo  # noqa: F401  the first step of an optimiser imports it

    import genarena.run  # noqa: F401  with torch and Lightning: what takes the time

    if not is_safe():
        return
    job = serve(control)
    if job is not None:
        become(job, environment, server)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a launcher that ignores it would have us lose exit codes
    main()
