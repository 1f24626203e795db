"""A process that has made the imports of a run, and forks a child per job: `python -m genarena.jobs.fork_server <socket>`.

The child behaves like a fresh `python train.py`: it has the environment with which this process was started, its own session,
its log as output, and ends like any interpreter. It works on a copy of the memory and cannot affect other jobs. This process
only forks and waits, so it has no threads and no CUDA context, which a fork would break.
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

PARENT = "GENARENA_PARENT"  # environment variable of a job: the id of the process that started it
LONGEST = 2**18  # largest message, in bytes
POLL = 0.05  # seconds
GPUS = ("/dev/nvidia", "/dev/kfd", "/dev/dri")  # device files that are open in a process that uses a GPU


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Serve the launcher, one job at a time. Returns None when the launcher has ended; in each child returns its job."""
    child = 0
    while True:
        if select.select([control], [], [], POLL if child else None)[0]:
            packet = control.recv(LONGEST)
            if not packet:  # the launcher has ended; the child will notice the end of this process
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
    with contextlib.suppress(OSError):  # if the launcher has ended, the next `recv` tells
        control.send(json.dumps(facts).encode())


def become(job: dict[str, Any], environment: dict[str, str], server: int) -> None:
    """In the child: run the job's script like `python <script> <arguments>`."""
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
    """Whether this process can be forked safely: it has a single Python thread, and has not opened a GPU.

    OpenMP's threads would not survive a fork either, but there are none before the first computation.
    """
    import torch

    opened = [os.readlink(link.path) for link in os.scandir("/proc/self/fd") if os.path.islink(link.path)]
    on_gpu = torch.cuda.is_initialized() or any(name.startswith(GPUS) for name in opened)
    return threading.active_count() == 1 and not on_gpu


def main() -> None:
    environment, server = dict(os.environ), os.getpid()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    import genarena.run  # noqa: F401  with torch and Lightning: what takes the time

    if not is_safe():
        return
    job = serve(control)
    if job is not None:
        become(job, environment, server)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it were ignored, exit codes would be lost
    main()
