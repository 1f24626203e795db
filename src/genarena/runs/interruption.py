"""SIGINT, SIGTERM and SIGHUP raise `Interrupted`, but not before work that must not be cut is finished. No torch here.

Python runs a signal handler only between two of its own instructions. A thread, which the signal wakes too, therefore ends
the process when the main thread hangs in foreign code or takes longer than `GRACE` for its last checkpoint.
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
GRACE = 27.0  # seconds from a signal to the end; a process that waits for others that end gives itself longer
ECHO = 0.5  # seconds; a second signal within them is the first, passed on by a launcher or a terminal


class Interrupted(BaseException):
    """The process was asked to end. It is no `Exception`, so that `except Exception` does not catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted ({signal.Signals(number).name})")
        self.number, self.exit_code = number, 128 + number


class _State:
    first: tuple[int, float] | None = None  # signal and time
    listening = False
    held = 0
    last_words: list[Callable[[str], object]] = []


def pending() -> int | None:
    """The signal that asked this process to end; None when there was none."""
    return _State.first and _State.first[0]


def check() -> None:
    """Raise Interrupted when a signal came and nothing is held."""
    if _State.first and not _State.held:
        raise Interrupted(_State.first[0])


@contextlib.contextmanager
def held() -> Iterator[None]:
    """The block is not interrupted; a signal that comes meanwhile raises Interrupted at its end."""
    outside = _State.held
    _State.held = outside + 1
    try:
        yield
    finally:
        _State.held = outside
    check()


@contextlib.contextmanager
def allowed(condition: bool = True) -> Iterator[None]:
    """Within a block under `held`: this part may be interrupted after all."""
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
    """Handle the signals inside; a signal that the process was started to ignore, as by nohup, stays ignored."""
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
    """Install our handlers again while listening: Lightning installs its own, which save no checkpoint."""
    for number in SIGNALS if _State.listening else ():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _on_signal)


def at_the_end(say: Callable[[str], object]) -> None:
    """Call `say(reason)` before a process ends without raising anything."""
    _State.last_words.append(say)


def forget(say: Callable[[str], object]) -> None:
    _State.last_words.remove(say)


def leave(code: int, reason: str) -> None:
    """End the process now, wherever its threads are; never returns."""
    with contextlib.suppress(Exception):
        for say in _State.last_words:
            say(reason)
        print(f"error: {reason}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    os._exit(code)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _State.first is None:
        _State.first = number, time.monotonic()
    if not _State.last_words and _imports(
        frame
    ):  # half-imported modules swallow exceptions; there is nothing to save yet
        leave(128 + number, str(Interrupted(number)))
    check()


def _imports(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _watch(watched: int) -> None:
    """Reads the numbers of arriving signals, which the C handler writes at once."""
    first = None
    with contextlib.suppress(OSError), open(watched, "rb", buffering=0) as pipe:
        while data := pipe.read(1):
            number, now = data[0], time.monotonic()
            if number not in SIGNALS:
                continue
            if first is None:
                first = now
                _State.first = _State.first or (number, now)  # the handler may never get to run
                threading.Thread(target=_deadline, args=(number,), daemon=True, name="deadline").start()
            elif now - first > ECHO:
                leave(128 + number, f"{Interrupted(number)}: the second signal ends it at once")


def _deadline(number: int) -> None:
    time.sleep(GRACE)
    if _State.first is None:  # it came to an end, and the process does something else now
        return
    leave(
        128 + number, f"{Interrupted(number)}: it did not come to an end within {GRACE:g} s; the last checkpoint stands"
    )


def _in_child() -> None:
    """In a forked loader worker: no handlers of ours. Its parent ends it, and it has no checkpoint to write."""
    if signal.getsignal(signal.SIGTERM) is _on_signal:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)


os.register_at_fork(after_in_child=_in_child)
