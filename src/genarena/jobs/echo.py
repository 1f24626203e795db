"""Prints the output of jobs from their logs. Imports no torch."""

from pathlib import Path

from genarena.errors import printable


class Echo:
    """Prints whole lines that are appended to a log after this object is made."""

    def __init__(self, log: Path, prefix: str) -> None:
        self.log, self.prefix = log, prefix
        self.at = log.stat().st_size if log.exists() else 0

    def show(self) -> None:
        if not self.log.exists():
            return
        with self.log.open("rb") as file:
            file.seek(self.at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.at += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            print(printable(f"{self.prefix}{line}"), flush=True)
