"""The number of threads of a run: chosen at its start, kept where a run must be repeatable, else following the load.

Sums of floats depend on the number of threads in their last bits. A run whose budget counts examples keeps the number for its
whole life, resumed or not, so that it ends bitwise in the same weights. A budget in minutes depends on the clock anyway.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genarena.ranks import world
from genarena.startup import threads

EVERY = 2.0  # seconds between two looks at the load


def settle(resolved: dict[str, Any]) -> None:
    """Set the number of threads of a run: the one that it has been trained with so far, else as many as cores are free."""
    number = threads.choose()
    if not threads.set_by_user() and keeps_number(resolved["budget"]) and resolved["resume"]:
        number = _of_row(Path(resolved["resume"]) / "result.json") or number
    take(number)


def take(number: int | None) -> None:
    """Let torch compute with so many threads from now on; None: with as many as it does."""
    if number is not None and number != torch.get_num_threads():
        torch.set_num_threads(number)


def keeps_number(budget: Mapping[str, Any]) -> bool:
    """Whether the number of threads stays for the whole run."""
    return threads.set_by_user() or budget["minutes"] is None or world.expected() > 1


def _of_row(path: Path) -> int | None:
    try:
        number = json.loads(path.read_text())["hardware"]["threads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) and 0 < number <= threads.cores() else None


class Follower:
    """Adapts the number of threads of this process to the load while it works.

    A core that becomes busy is given up after one look; one that becomes free is taken after two.
    seconds: number of threads -> seconds worked with it.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._before = torch.get_num_threads()
        self._load = threads.Load()

    def look(self) -> None:
        """Call it often; it acts every `EVERY` seconds."""
        passed = self._load.seconds
        if passed < EVERY:
            return
        number = threads.wanted(self._load.cores())
        self.rest()
        take(min(number, self._before))
        self._before = number

    def rest(self) -> None:
        """Count the time until now, and start a new look."""
        number = torch.get_num_threads()
        self.seconds[number] = self.seconds.get(number, 0.0) + self._load.seconds
        self._load = threads.Load()
