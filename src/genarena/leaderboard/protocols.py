"""Which protocol of a metric has the metric's usual column, and the order of the columns of the others."""

from collections.abc import Iterable
from typing import Any

from genarena.leaderboard.runs import Run, identity_of, key_of


def usual_protocols(runs: list[Run]) -> dict[str, str]:
    """Key of a metric's column -> id of the protocol under which most lines have a value; imported lines count last. Of equally
    many, one under which a run was scored at once."""
    lines: dict[tuple[str, str], set[str]] = {}
    imported = {identity_of(run) for run in runs if run.imported}
    for run in runs:
        for row in (run.row, *run.later):
            for pair, value in _measured(row):
                lines.setdefault(pair, set()).update({identity_of(run)} if value is not None else ())
    at_once = {pair for run in runs for pair, _ in _measured(run.row)}
    order = {pair: (-len(own - imported), -len(own), pair not in at_once, pair) for pair, own in lines.items()}
    return dict(sorted(lines, key=order.__getitem__, reverse=True))  # the first of the order comes last, and stays


def _measured(row: dict[str, Any]) -> list[tuple[tuple[str, str], float | None]]:
    """Key of the column and id of the protocol of each metric, with its value."""
    return [
        ((key_of(name, record), record.get("protocol", "")), record["value"]) for name, record in row["metrics"].items()
    ]


def in_order(keys: Iterable[str], usual: dict[str, str]) -> list[str]:
    """The keys of columns, those of one metric side by side, and its usual one first."""
    places = {key: place for place, key in enumerate(dict.fromkeys(metric_of(key, usual) for key in keys))}
    return sorted(keys, key=lambda key: (places[metric_of(key, usual)], key not in usual))


def metric_of(key: str, usual: dict[str, str]) -> str:
    """The key of the usual column of the same metric."""
    return key if key in usual else key.rpartition("_")[0]
