"""The leaderboard as one self-contained HTML page: opens from disk, needs no network, runs only its own script."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from genarena.errors import printable
from genarena.leaderboard import drawing, plots, sweeps, traces
from genarena.leaderboard import tasks as of_tasks
from genarena.leaderboard.formats import heading
from genarena.leaderboard.illustrations import PICTURES, Illustrations, collect
from genarena.leaderboard.lines import LIKELIHOOD_SIGNS, Line
from genarena.leaderboard.numbers import number, prefixed
from genarena.leaderboard.runs import Run
from genarena.leaderboard.tables import Table
from genarena.statistics.intervals import LEVEL, welch

HERE = Path(__file__).parent
NOTES = {
    "final": "The same number from each model, none chosen.",
    "neighbours": "Samples beside the training images that are closest to them.",
    "reconstructions": "Rows of test images, each over the row of its reconstructions.",
}
PLAIN = ("value", "title", "unit", "higher_is_better", "n", "sign", "likelihood", "standard_error", "reason")


def runs_of(tables: list[Table]) -> list[Run]:
    """All runs that have a section on the page, each once."""
    found = {run.folder: run for table in tables for run in [*_shown(table), *table.failed, *table.repeated]}
    return list(found.values())


def render(
    tables: list[Table],
    broken: list[str],
    searches: Sequence[sweeps.Sweep] = (),
    illustrations: Illustrations | None = None,
    tasks: Sequence[of_tasks.TaskTable] = (),
) -> str:
    """The HTML of the page. broken: a line of text for each file that was left out. illustrations: None: they are read here.

    All content from run folders is escaped. The Content-Security-Policy allows one script and one style, by hash, and no
    requests.
    """
    script, style = ((HERE / name).read_text() for name in ("page.js", "page.css"))
    beside = illustrations or collect(runs_of(tables))
    task_pictures, unreadable = of_tasks.pictures(tasks)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            tables=tables,
            broken=[*broken, *beside.complaints, *unreadable],
            runs=runs_of(tables),
            script=script,
            style=style,
            plots={table.anchor: _plots(table, beside) for table in tables},
            pictures=beside.pictures,
            losses=beside.losses,
            configs=beside.configs,
            headings=PICTURES,
            notes=NOTES,
            searches=searches,
            tasks=tasks,
            task_pictures=task_pictures,
            bests={
                table.anchor: {column.key: _best(table, column.key) for column in table.columns} for table in tables
            },
            repeated={run.folder for table in tables for run in table.repeated},
            first={line.runs[0].folder for table in tables for line in table.lines},
            script_hash=_digest(script),
            style_hash=_digest(style),
        )
    )


def _environment() -> Environment:
    loader = FileSystemLoader(HERE)
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        "heading": heading,
        "number": number,
        "prefixed": prefixed,
        "facts": _facts,
        "metrics": _metrics,
        "sparkline": traces.sparkline,
        "parallel": sweeps.parallel,
        "bars": sweeps.bars,
        "shown": sweeps.shown,
    }
    made.globals |= {"families": drawing.families, "colour": drawing.colour}
    return made


def _plots(table: Table, beside: Illustrations) -> list[drawing.Plot]:
    return plots.of_table(table, {line.name: beside.losses[line.runs[0].folder] for line in table.lines})


def _shown(table: Table) -> list[Run]:
    return [run for line in table.lines for run in line.runs]


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(run: Run) -> dict[str, str]:
    """Title -> text of the facts at the top of a run's section."""
    row, cost = run.row, run.row.get("cost", {})
    versions = ", ".join(f"{name} {version}" for name, version in row.get("versions", {}).items())
    hardware = ", ".join(f"{key} {value}" for key, value in row.get("hardware", {}).items())
    facts = {
        "folder": printable(run.folder.name),
        "time": row.get("time"),
        "commit": row.get("commit"),
        "paper": row.get("paper"),
        "overrides": " ".join(run.overrides),
        "weights": row.get("weights"),
        "precision": row.get("precision"),
        "data": f"{row['data']['id']}, {row['data']['split']}",
        "protocol": row["protocol"]["id"],
        "hardware": hardware,
        "versions": versions,
        "non-finite": _compact(row.get("nonfinite", {})),
        "cost": ", ".join(
            f"{key} {number(value) if isinstance(value, float) else value}"
            for key, value in cost.items()
            if not isinstance(value, dict) and value is not None
        ),
    }
    facts |= {"unmeasured": _compact(cost["unmeasured"])} if cost.get("unmeasured") else {}
    return {key: str(value) for key, value in facts.items() if value}


def _metrics(run: Run) -> list[tuple[str, str, str, str]]:
    """(metric, value or reason, n, other entries of its record) for each metric of a run."""
    rows = []
    for name, record in run.row["metrics"].items():
        rest = _compact({key: value for key, value in record.items() if key not in PLAIN})
        if record["value"] is None:
            rows.append((name, f"– {record['reason']}", "", rest))
            continue
        sign = LIKELIHOOD_SIGNS.get(record.get("likelihood", ""), "")
        error = f" (s.e. {number(record['standard_error'])})" if record.get("standard_error") is not None else ""
        unit = record.get("unit", "")
        rows.append((name, f"{sign}{number(record['value'])} {unit}{error}".strip(), f"{record['n']:,}", rest))
    return rows


def _compact(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)[1:-1].replace('"', "") if content else ""


def _best(table: Table, key: str) -> set[str]:
    """Names of the lines with the best value of a column, and of those that tie with it (Welch's t-test); only contenders."""
    column = table.column[key]
    contenders: list[Line] = [line for line in table.lines if line.competes and line.cells[key].value is not None]
    if column.is_cost or column.higher_is_better is None or not contenders:
        return set()
    top = (max if column.higher_is_better else min)(contenders, key=lambda line: line.cells[key].value)
    p_values = {line.name: welch(line.values(key), top.values(key)) for line in contenders}
    return {
        line.name
        for line in contenders
        if line.cells[key].value == top.cells[key].value or (p_values[line.name] or 0.0) >= LEVEL
    }
