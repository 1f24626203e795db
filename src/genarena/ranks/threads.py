"""The number of threads of a run: chosen at its start; then fixed if the run must be repeatable, else adapted to the load.

The last bits of floating-point sums depend on the number of threads. A run whose budget counts examples keeps its number,
also after a resume, so that its weights are bitwise reproducible. A budget in minutes depends on the clock anyway.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from genarena.errors import Untrusted
from genarena.files import foreign
from genarena.ranks import world
from genarena.startup import threads

EVERY = 2.0  # seconds between two measurements of the load


def settle(resolved: dict[str, Any]) -> None:
    """Set the number of threads of a run: for a resumed, repeatable run its earlier number, else the number of free cores."""
    number = threads.choose()
    if not threads.set_by_user() and keeps_number(resolved["budget"]) and resolved["resume"]:
        number = _of_row(Path(resolved["resume"]) / "result.json") or number
    take(number)


def take(number: int | None) -> None:
    """Set torch's number of threads; None: no change."""
    if number is not None and number != torch.get_num_threads():
        torch.set_num_threads(number)


def keeps_number(budget: Mapping[str, Any]) -> bool:
    """Whether the number of threads is fixed for the whole run."""
    return threads.set_by_user() or budget["minutes"] is None or world.expected() > 1


def _of_row(path: Path) -> int | None:
    """The number in a row; None where there is none. Others may have spoilt the file: resuming says so elsewhere."""
    try:
        number = foreign.parse_json(foreign.read(path))["hardware"]["threads"]
    except (OSError, Untrusted, ValueError, KeyError, TypeError):
        return None
    return number if isinstance(number, int) and 0 < number <= threads.cores() else None


class Follower:
    """Adapts the number of threads of this process to the load while it works.

    A core that becomes busy is given up after one measurement; a core that becomes free is used after two.
    seconds: number of threads -> seconds worked with it.
    """

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}
        self._before = torch.get_num_threads()
        self._load = threads.Load()

    def look(self) -> None:
        """Adapt the number of threads, at most every `EVERY` seconds; call it often."""
        passed = self._load.seconds
        if passed < EVERY:
            return
        number = threads.wanted(self._load.cores())
        self.rest()
        take(min(number, self._before))
        self._before = number

    def rest(self) -> None:
        """Count the time until now, and start a new measurement."""
        number = torch.get_num_threads()
        self.seconds[number] = self.seconds.get(number, 0.0) + self._load.seconds
        self._load = threads.Load()
