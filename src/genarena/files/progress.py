"""Progress bars, shown only if stdout is a terminal."""

from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")


class Bars:
    """`with Bars(shown) as bars: for item in bars.track(items, "title"): ...`. Calls of `track` may be nested."""

    def __init__(self, shown: bool = True) -> None:
        console = Console()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.display = Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal))

    def __enter__(self) -> Self:
        self.display.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.display.stop()

    def track(self, items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
        """Yield the items and show the progress. total: needed if the items have no length."""
        task = self.display.add_task(title, total=len(items) if total is None else total)
        try:
            for item in items:
                yield item
                self.display.advance(task)
        finally:
            self.display.remove_task(task)
