"""SIGINT, SIGTERM and SIGHUP raise `Interrupted`; in a block under `held`, only at its end. Imports no torch.

Python runs signal handlers in the main thread, between two bytecode instructions; while C code runs there, no handler is
called. Therefore a second thread is also woken by the signal. It ends the process if the main thread hangs, or needs longer
than `GRACE` for its last checkpoint.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 27.0  # seconds from a signal to the forced end; the launcher, which waits for its jobs, sets a larger value
ECHO = 0.5  # seconds; a signal so soon after the first is taken for the same one, sent by launcher and terminal


class Interrupted(BaseException):
    """A signal asked the process to end. Not an `Exception`, so that `except Exception` does not catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted ({signal.Signals(number).name})")
        self.number, self.exit_code = number, 128 + number


class _State:
    first: tuple[int, float] | None = None  # number of the signal, time
    listening = False
    held = 0
    last_words: list[Callable[[str], object]] = []


def pending() -> int | None:
    """The number of the signal that asked this process to end; None if there was none."""
    return _State.first and _State.first[0]


def check() -> None:
    """Raise Interrupted if a signal has arrived, except in a block under `held`."""
    if _State.first and not _State.held:
        raise Interrupted(_State.first[0])


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Do not interrupt the block. A signal that arrives in it raises Interrupted at the end of the block."""
    outside = _State.held
    _State.held = outside + 1
    try:
        yield
    finally:
        _State.held = outside
    check()


@contextlib.contextmanager
def allowed(condition: bool = True) -> Iterator[None]:
    """Allow interruption of this block inside a block under `held`. condition: False changes nothing."""
    if not condition:
        yield
        return
    outside, _State.held = _State.held, 0
    try:
        check()
        yield
    finally:
        _State.held = outside


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Handle the signals in this block. A signal that was ignored from the start (for example by nohup) stays ignored."""
    _State.first = None
    former = {number: signal.getsignal(number) for number in SIGNALS}
    watched, woken = os.pipe()
    for end in (watched, woken):
        os.set_blocking(end, end == watched)
    threading.Thread(target=_watch, args=(watched,), daemon=True, name="signals").start()
    before = signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    _State.listening = True
    handle()
    try:
        yield
    finally:
        _State.listening = False
        signal.set_wakeup_fd(before)
        for number, handler in former.items():
            signal.signal(number, handler)
        if _State.first is None:
            os.close(woken)  # ends the thread


def handle() -> None:
    """Install our handlers while listening. Called again after Lightning installed its own, which save no checkpoint."""
    for number in SIGNALS if _State.listening else ():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)


def at_the_end(say: Callable[[str], object]) -> None:
    """Register `say`: `leave` calls `say(reason)` before it ends the process."""
    _State.last_words.append(say)


def forget(say: Callable[[str], object]) -> None:
    _State.last_words.remove(say)


def leave(code: int, reason: str) -> None:
    """End the process at once, whatever its threads are doing. Never returns."""
    with contextlib.suppress(Exception):
        for say in _State.last_words:
            say(reason)
        print(f"error: {reason}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(code)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.first is None:
        _State.first = number, time.monotonic()
    # An exception inside an import may be swallowed by the module. At that time there is nothing to save yet.
    if not _State.last_words and _imports(frame):
        leave(128 + number, str(Interrupted(number)))
    check()


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _watch(watched: int) -> None:
    """Read the numbers of arriving signals from the wakeup pipe. Python's C handler writes them at once."""
    first = None
    with contextlib.suppress(OSError), open(watched, "rb", buffering=0) as pipe:
        while data := pipe.read(1):
            number, now = data[0], time.monotonic()
            if number not in SIGNALS:
                continue
            if first is None:
                first = now
                _State.first = _State.first or (number, now)  # the Python handler may never run
                threading.Thread(target=_deadline, args=(number,), daemon=True, name="deadline").start()
            elif now - first > ECHO:
                leave(128 + number, f"{Interrupted(number)}: the second signal ends it at once")


def _deadline(number: int) -> None:
    time.sleep(GRACE)
    if _State.first is None:  # a new `listening` has begun: the signal was handled
        return
    leave(
        128 + number, f"{Interrupted(number)}: it did not come to an end within {GRACE:g} s; the last checkpoint stands"
    )


def _in_child() -> None:
    """Remove our handlers in a forked loader worker: it has no checkpoint to write, and its parent ends it."""
    if signal.getsignal(signal.SIGTERM) is _on_signal:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)
