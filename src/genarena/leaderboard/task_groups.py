"""Tables of one task under several cases, such as degradations: an index, and the ranks of all methods over the cases."""

from collections.abc import Iterable
from dataclasses import dataclass

from genarena.leaderboard.runs import anchor
from genarena.leaderboard.task_lines import TaskLine
from genarena.leaderboard.task_plots import TaskPlot, calibration, obedience, perception
from genarena.leaderboard.tasks import TaskTable
from genarena.statistics.intervals import mean

HEADINGS = {"Sdedit": "Images from guides"}  # of a group whose tables have a short name


@dataclass(frozen=True)
class Ranks:
    """The ranks of a method, one per case, None where it has no value; and their mean, where it has a value in every case."""

    line: TaskLine
    ranks: tuple[int | None, ...]

    @property
    def mean(self) -> float | None:
        return None if None in self.ranks else mean([float(rank) for rank in self.ranks])


@dataclass(frozen=True)
class TaskGroup:
    """Tables that differ in their case, or in their settings."""

    title: str
    data_id: str
    budget: str
    tables: list[TaskTable]

    @property
    def heading(self) -> str:
        return HEADINGS.get(self.title, self.title)

    @property
    def anchor(self) -> str:
        return anchor("task", self.title, self.data_id, self.budget)

    def name(self, table: TaskTable) -> str:
        """The case; with the protocol, where two tables of the group have the same case."""
        alike = sum(other.case == table.case for other in self.tables) > 1
        return " ".join(filter(None, (table.case or table.title, table.protocol_id if alike else "")))

    @property
    def over_cases(self) -> list[Ranks]:
        """All methods, the best mean rank on top; [] with fewer than two cases. Equal values share the better rank."""
        tables = [table for table in self.tables if table.ranked_by]
        if len(tables) < 2:
            return []
        found: dict[tuple[str, ...], Ranks] = {}
        for at, table in enumerate(tables):
            for line, rank in _ranks(table):
                key = line.name, line.part, line.method
                before = found.get(key, Ranks(line, (None,) * len(tables)))
                found[key] = Ranks(before.line, (*before.ranks[:at], rank, *before.ranks[at + 1 :]))
        return sorted(found.values(), key=lambda each: (each.mean is None, each.mean or 0.0))


def _ranks(table: TaskTable) -> Iterable[tuple[TaskLine, int | None]]:
    key = table.ranked_by
    sign = table.columns[key].sign
    lines = [line for line in table.lines if not line.is_real]
    costs = [None if (value := line.value(key).value) is None else sign * value for line in lines]
    for line, cost in zip(lines, costs, strict=True):
        better = sum(other < cost for other in costs if other is not None) if cost is not None else 0
        yield line, None if cost is None else 1 + better


def groups(tables: Iterable[TaskTable]) -> list[TaskGroup]:
    found: dict[tuple[str, ...], list[TaskTable]] = {}
    for table in tables:
        found.setdefault((table.group, table.data_id, table.budget), []).append(table)
    return [TaskGroup(*key, members) for key, members in found.items()]


def plots(table: TaskTable) -> list[TaskPlot]:
    return [plot for plot in (perception(table), calibration(table), obedience(table)) if plot is not None]
