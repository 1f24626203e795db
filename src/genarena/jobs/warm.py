"""Jobs as children of a warm process, which has imported torch already. This module itself imports no torch.

If forking is not safe, or the warm process ends before it has started the job, the job runs in a fresh process instead.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from genarena.jobs import fork_server
from genarena.jobs.echo import Echo
from genarena.jobs.handle import Handle


def is_possible() -> bool:
    """Whether a process can be forked after it has loaded libraries: on Linux only."""
    return sys.platform == "linux"


class WarmProcess:
    """The fork server of one slot, and the connection to it. Its jobs get `environment`, and run one at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", fork_server.__name__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # a fresh process will print the same error
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.lost = False

    def say(self, **message: Any) -> None:
        try:
            self.control.send(json.dumps(message).encode())
        except OSError:
            self.lost = True

    def heard(self) -> list[dict[str, Any]]:
        """Its messages since the last call."""
        messages = []
        while not self.lost and select.select([self.control], [], [], 0.0)[0]:
            try:
                packet = self.control.recv(fork_server.LONGEST)
            except OSError:
                packet = b""
            self.lost = not packet
            messages += [json.loads(packet)] if packet else []
        return messages

    def close(self) -> None:
        """End the process. A job that still runs notices the end of its parent."""
        self.control.close()
        self.lost = True
        self.process.terminate()
        self.process.wait()


class WarmHandle:
    """A job that a warm process forks, in its own session. fresh: starts it as a fresh process instead."""

    def __init__(self, warm: WarmProcess, job: dict[str, Any], echo: Echo, fresh: Callable[[], Handle]) -> None:
        self.warm, self.echo, self.fresh = warm, echo, fresh
        self.pid: int | None = None
        self.code: int | None = None
        self.instead: Handle | None = None
        self.stopped = False
        warm.say(**job)

    def poll(self) -> int | None:
        if self.instead:
            return self.instead.poll()
        for message in self.warm.heard():
            self.pid, self.code = message.get("pid", self.pid), message.get("code", self.code)
        self.echo.show()
        if self.code is None and self.warm.lost:
            if self.pid is not None or self.stopped:
                self.code = -signal.SIGTERM if self.stopped else -signal.SIGKILL  # its parent was killed
            else:
                self.instead = self.fresh()
        return self.code

    def stop(self) -> None:
        if self.instead:
            self.instead.stop()
        elif not self.stopped and self.poll() is None:
            self.stopped = True
            if self.pid is None:  # the warm process still imports
                self.warm.close()
            else:
                self.warm.say(signal=signal.SIGTERM, whole_group=False)

    def kill(self) -> None:
        if self.instead:
            self.instead.kill()
        elif self.poll() is None:
            self.warm.say(signal=signal.SIGKILL, whole_group=True)
            select.select([self.warm.control], [], [], 5.0)
            self.poll()


def job(script: Path, arguments: Sequence[str], log: Path) -> dict[str, Any]:
    """The message that requests a job."""
    return {"script": os.path.abspath(script), "arguments": list(arguments), "log": os.path.abspath(log)}
