"""The leaderboard as one self-contained HTML page: opens from disk, needs no network, runs only its own script."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from genarena.leaderboard import (
    aspects,
    board,
    comparison,
    drawing,
    facts,
    made,
    overview,
    sweeps,
    task_agreement,
    task_groups,
    task_lines,
    task_strips,
    task_texts,
    traces,
)
from genarena.leaderboard import tasks as of_tasks
from genarena.leaderboard.illustrations import PICTURES, Illustrations, collect
from genarena.leaderboard.made import Made
from genarena.leaderboard.numbers import number, prefixed
from genarena.leaderboard.runs import Run
from genarena.leaderboard.tables import Table
from genarena.leaderboard.trusted import Trust

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "columns.js", "pictures.js", "compare.js")  # joined in this order
NOTES = {
    "final": "The same number from each model, none chosen.",
    "neighbours": "Samples, each beside the training images that are closest to it, with their distances.",
    "reconstructions": "Rows of test images, each over the row of its reconstructions.",
}


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
    origin: Made | None = None,
    trust: Trust | None = None,
) -> str:
    """The HTML of the page.

    broken: a line of text for each file that was left out. illustrations: None: they are read here. origin: None: made now.

    All content from run folders is escaped. The Content-Security-Policy allows one script and one style, by hash, and no
    requests.
    """
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    style = "".join(
        (HERE / name).read_text(encoding="utf-8") for name in ("page.css", *(["tasks.css"] if tasks else []))
    )
    beside, runs = illustrations or collect(runs_of(tables)), runs_of(tables)
    task_pictures, unreadable = task_strips.pictures(tasks)
    origin, trust = origin or Made.now(), trust or Trust()
    broken = [*broken, *beside.complaints, *unreadable, *trust.broken]
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            boards=[board.board(table, beside, tuple(PICTURES)) for table in tables],
            links=overview.navigation(tables),
            matrix=overview.places(tables) if len(tables) > 1 else {},
            models=overview.models(tables) if len(tables) > 1 else {},
            broken=broken,
            runs=runs,
            script=script,
            style=style,
            beside=beside,
            headings=PICTURES,
            notes=NOTES,
            searches=searches,
            tasks=task_groups.groups(tasks),
            task_pictures=task_pictures,
            repeated={run.folder for table in tables for run in table.repeated},
            in_grids={run.folder for table in tables for run in _shown(table)},
            origin=origin,
            trust=trust,
            anchors={run.folder: run.anchor for run in runs},
            counts=made.counts(tables, len(broken)),
            seeds=made.seeds(tables),
            citation=made.citation(tables, origin),
            comparable=comparison.comparable(runs),
            presets=aspects.PRESETS,
            script_hash=_digest(script),
            style_hash=_digest(style),
        )
    )


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(HERE)
    found = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.filters |= {
        "number": number,
        "prefixed": prefixed,
        "facts": facts.facts,
        "metrics": facts.metrics,
        "sparkline": traces.sparkline,
        "parallel": sweeps.parallel,
        "bars": sweeps.bars,
        "shown": sweeps.shown,
    }
    found.globals |= {"colour": drawing.colour, "by_class": board.is_by_class, "kinds": task_lines.KINDS}
    found.globals |= {
        "task_agreement": task_agreement.agreement,
        "task_plots": task_groups.plots,
        "task_strips": task_strips.strips,
        "task_texts": task_texts.TEXTS,
    }
    return found


def _shown(table: Table) -> list[Run]:
    return [run for line in table.lines for run in line.runs]


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
