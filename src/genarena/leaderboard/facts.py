"""The facts and the metrics of one run, as text."""

from typing import Any

from genarena.errors import printable
from genarena.leaderboard.cells import LIKELIHOOD_SIGNS
from genarena.leaderboard.numbers import number
from genarena.leaderboard.runs import Run

IN_COLUMNS = ("value", "title", "unit", "higher_is_better", "n", "sign", "likelihood", "standard_error", "reason")


def facts(run: Run) -> dict[str, str]:
    """Title -> text of the facts at the top of a run's section."""
    row, cost = run.row, run.row.get("cost", {})
    found = {
        "folder": printable(run.folder.name),
        "time": row.get("time"),
        "commit": row.get("commit"),
        "paper": row.get("paper"),
        "overrides": " ".join(run.overrides),
        "chosen for this data": in_words(row.get("chosen", {})),
        "weights": row.get("weights"),
        "selected": selected(row.get("selected")),
        "trainer": in_words(row.get("trainer", {})),
        "precision": row.get("precision"),
        "processes": cost.get("world_size"),
        "data": f"{row['data']['id']}, {row['data']['split']}",
        "line": row.get("line", {}).get("id"),
        "hardware": in_words(row.get("hardware", {})),
        "machine": in_words(row.get("machine", {})),
        "versions": in_words(row.get("versions", {})),
        "non-finite": in_words(row.get("nonfinite", {})),
        "cost": in_words({key: value for key, value in cost.items() if not isinstance(value, dict)}),
        "unmeasured": in_words(cost.get("unmeasured", {})),
    }
    return {key: str(value) for key, value in found.items() if value}


def selected(how: Any) -> str:
    """Which weights were taken: `by val/bits_per_dim, at 80% of the budget`."""
    if not isinstance(how, dict):
        return ""
    share = how.get("share")
    return f"by {how.get('by', '?')}" + (f", at {share:.0%} of the budget" if isinstance(share, int | float) else "")


def metrics(run: Run) -> list[tuple[str, str, str, str]]:
    """(metric, value or reason, n, other entries of its record) for each metric of a run."""
    rows = []
    for name, record in run.metrics.items():
        rest = in_words({key: value for key, value in record.items() if key not in IN_COLUMNS})
        if record["value"] is None:
            rows.append((name, f"– {record['reason']}", "", rest))
            continue
        sign = LIKELIHOOD_SIGNS.get(record.get("likelihood", ""), "")
        error = f" (s.e. {number(record['standard_error'])})" if record.get("standard_error") is not None else ""
        unit = record.get("unit", "")
        rows.append((name, f"{sign}{number(record['value'])} {unit}{error}".strip(), f"{record['n']:,}", rest))
    return rows


def in_words(content: Any) -> str:
    """Nested content of a row as one line: `k 3, backbone (name domain-classifier, weights a707a58b)`, numbers rounded."""
    if isinstance(content, dict):
        return ", ".join(_entry(str(key), value) for key, value in content.items() if not _is_nothing(value))
    if isinstance(content, list):
        return ", ".join(f"({in_words(each)})" if isinstance(each, dict | list) else in_words(each) for each in content)
    if isinstance(content, bool):
        return "yes" if content else "no"
    return number(content) if isinstance(content, float) else "–" if content is None else str(content)


def _entry(key: str, value: Any) -> str:
    nested = isinstance(value, dict) or (isinstance(value, list) and len(value) > 1)
    return f"{key.replace('_', ' ')} {f'({in_words(value)})' if nested else in_words(value)}"


def _is_nothing(value: Any) -> bool:
    return value is None or value in ({}, [], "")
