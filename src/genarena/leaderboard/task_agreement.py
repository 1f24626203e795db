"""Do the metrics of a task put runs in the same order? Rank correlations of the columns of a table, over its trained runs."""

from dataclasses import dataclass

from genarena.leaderboard.formats import escaped
from genarena.leaderboard.tasks import TaskTable
from genarena.statistics.rank_correlation import rank_correlation

GROUPS = ("Disentanglement",)  # tasks whose metrics claim to measure one thing
FEWEST = 5  # runs


@dataclass(frozen=True)
class Agreement:
    """titles: of the metrics. correlations: a row per metric, None where all runs have the same value. num_runs: that have a
    value of every metric. chance: two unrelated metrics are further from 0 in 5% of cases, about."""

    titles: list[str]
    correlations: list[list[float | None]]
    num_runs: int

    @property
    def chance(self) -> float:
        return 1.96 / (self.num_runs - 1) ** 0.5


def agreement(table: TaskTable) -> Agreement | None:
    """None for other tasks, and with fewer than `FEWEST` runs. Each seed is a run; untrained models and floors are none."""
    if table.group not in GROUPS:
        return None
    metrics = [each for line in table.lines if line.runs and not line.part for each in line.metrics]
    values = {key: [each.get(key, {}).get("value") for each in metrics] for key in table.columns}
    known = {key: column for key, column in values.items() if None not in column}
    if len(metrics) < FEWEST or len(known) < 2:
        return None
    found = [[rank_correlation(one, two) for two in known.values()] for one in known.values()]
    return Agreement([table.columns[key].title for key in known], found, len(metrics))


def markdown(table: TaskTable) -> str:
    """The rank correlations; "" where there are none."""
    if (found := agreement(table)) is None:
        return ""
    rows = [
        ["", *map(str, range(1, len(found.titles) + 1))],
        ["---"] * (len(found.titles) + 1),
        *(
            [f"{number} {escaped(name)}", *("–" if each is None else f"{each:.2f}" for each in row)]
            for number, (name, row) in enumerate(zip(found.titles, found.correlations, strict=True), 1)
        ),
    ]
    head = f"Rank correlations of the metrics over {found.num_runs} runs; by chance up to {found.chance:.2f}\n\n"
    return head + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n\n"
