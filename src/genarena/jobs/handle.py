"""The interface of a running job for the launcher. Imports no torch."""

from typing import Protocol


class Handle(Protocol):
    """A running job."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs. May print its output since the last call."""

    def stop(self) -> None:
        """Ask it to write a checkpoint and end. Repeated calls are harmless."""

    def kill(self) -> None:
        """End it at once."""
