"""What the launcher needs of a job that runs somewhere. No torch here."""

from typing import Protocol


class Handle(Protocol):
    """A job that runs somewhere."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs; may show what it printed since the last call."""

    def stop(self) -> None:
        """Ask it to write a checkpoint and end; more than once does no harm."""

    def kill(self) -> None:
        """End it at once."""
