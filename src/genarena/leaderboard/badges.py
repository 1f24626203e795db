"""Marks beside the names of lines: what a reader must know before the numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from genarena.leaderboard.lines import Line
from genarena.leaderboard.runs import Run


@dataclass(frozen=True)
class Badge:
    """A mark beside a name. kind: alarm, starved, imported or note; why: one sentence."""

    kind: str
    text: str
    why: str


def badges(line: Line) -> list[Badge]:
    """That a line copies, was not looked through for copies, starved, is of other people's code, or was made elsewhere."""
    found = [Badge("alarm", "copies", line.alarm_of_any_column)] if line.alarm_of_any_column else []
    found += [Badge("alarm", "unchecked", line.unchecked)] if line.unchecked else []
    found += [Badge("starved", "starved", line.starved)] if line.starved and not line.is_reference else []
    found += [Badge("note", "plug-in", f"its code is not genarena's: {text}")] if (text := foreign(line)) else []
    odd = [run.row["cost"]["odd"] for run in line.runs if run.row.get("cost", {}).get("odd")]
    found += [Badge("starved", "odd", f"{odd[0]}: its numbers are not to be relied on")] if odd else []
    found += [Badge("note", "later code", text) for text in later_code(line)]
    if line.imported and "imported" not in line.name:
        found.append(Badge("imported", "imported", "made elsewhere, under a budget of its own"))
    return found


def foreign(line: Line) -> str:
    """The classes of a line that are not genarena's; empty for most lines."""
    settings = line.runs[0].row["line"]["settings"]
    targets = [str(value) for name, value in settings.items() if name.endswith("_target_") and "." in str(value)]
    own = [text for text in targets if text.partition(".")[0] not in ("genarena", "torch")]
    return ", ".join(dict.fromkeys(own))


def later_code(line: Line) -> Iterator[str]:
    """The metrics that were scored with other sources of the model than those that the run was trained with."""
    for run in line.runs:
        names = sorted(
            {name for row in run.later if row["line"]["sources"] != _sources(run) for name in row["metrics"]}
        )
        if names:
            yield (
                f"{', '.join(names)} of seed {run.seed} may be of samples of another version of the model's code, which was "
                "changed after the run"
            )


def _sources(run: Run) -> dict[str, str]:
    return run.row["line"]["sources"]
