"""When, of what and by which command a page was made, and how to cite it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from genarena.errors import counted
from genarena.leaderboard.tables import Table
from genarena.runs import provenance

FILES = {"leaderboard.csv": "CSV", "leaderboard.json": "JSON", "leaderboard.tex": "LaTeX", "leaderboard.md": "Markdown"}


@dataclass(frozen=True)
class Made:
    """The origin of a page. commit: of genarena; None: not in a checkout. files: name -> kind, in the folder of the page."""

    time: datetime
    command: str = ""
    commit: str | None = None
    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def now(cls, command: str = "", files: Sequence[str] = ()) -> "Made":
        """The origin of a page that is made now, beside these of its `FILES`."""
        kinds = tuple((name, FILES.get(name, name)) for name in files)
        return cls(datetime.now(UTC), command, provenance.commit(), kinds)

    @property
    def date(self) -> str:
        return f"{self.time:%Y-%m-%d %H:%M} UTC"


def counts(tables: list[Table], broken: int) -> dict[str, int]:
    """What is on the page: lines, runs, failed and replaced runs, files left out. What there is none of is left out."""
    found = {
        "tables": len(tables),
        "lines": sum(len(table.lines) for table in tables),
        "runs": len({run.folder for table in tables for line in table.lines for run in line.runs}),
        "failed": len({run.folder for table in tables for run in table.failed}),
        "run again since": len({run.folder for table in tables for run in table.repeated}),
        "left out": broken,
    }
    return {name: number for name, number in found.items() if number}


def seeds(tables: list[Table]) -> str:
    """How many seeds a line has: `3 seeds each`, `1 to 3 seeds`."""
    found = [len(line.runs) for table in tables for line in table.lines if not line.imported]
    if not found:
        return ""
    low, high = min(found), max(found)
    return f"{low} to {high} seeds" if low != high else f"{counted(low, 'seed')} each"


def citation(tables: list[Table], made: Made) -> str:
    """A BibTeX entry for this page."""
    data = ", ".join(sorted({table.data_id for table in tables}))
    budgets = ", ".join(sorted({table.budget for table in tables}))
    note = f"Data: {data}. Budgets: {budgets}." + (f" Commit {made.commit}." if made.commit else "")
    return "\n".join(
        [
            f"@misc{{genarena{made.time:%Y%m%d},",
            "  title = {{genarena leaderboard}},",
            f"  year  = {{{made.time:%Y}}},",
            f"  month = {{{made.time:%m}}},",
            f"  note  = {{{note.replace('_', chr(92) + '_')}}},",
            "}",
        ]
    )
