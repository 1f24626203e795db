"""The leaderboard as one self-contained HTML page: opens from disk, needs no network, runs no script but its own."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from genarena.leaderboard.formats import heading
from genarena.leaderboard.tables import Line, Run, Table, number

HERE = Path(__file__).parent


def render(tables: list[Table], broken: list[str]) -> str:
    """The page. Everything that comes from a run folder is escaped; the Content-Security-Policy allows one script, by hash."""
    script = (HERE / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"heading": heading, "number": number, "picture": _picture, "pretty": _pretty}
    template = environment.from_string((HERE / "page.html.jinja").read_text())
    return template.render(tables=tables, broken=broken, script=script, script_hash=digest,
                           style=(HERE / "page.css").read_text(), best=_best, anchor=_anchor)  # fmt: skip


def _picture(run: Run) -> str | None:
    """The final sample grid as a data URI; None where there is none."""
    path = run.folder / "samples" / "final.png"
    if not path.is_file():
        return None
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _pretty(row: dict[str, Any]) -> str:
    return json.dumps(row, indent=2)


def _anchor(run: Run) -> str:
    """Survives a new page: made of the row, not of its position."""
    row = run.row
    text = f"{row['data']['id']}-{row['model']}-{row.get('run', run.folder.name)}"
    return "".join(c if c.isalnum() else "-" for c in text)


def _best(table: Table, key: str) -> set[str]:
    """Lines whose value is the best of a column, ceilings and floors left out; several where they tie."""
    column = next(column for column in table.columns if column.key == key)
    contenders: list[Line] = [
        line for line in table.lines if line.family != "baseline" and line.cells[key].value is not None
    ]
    if column.is_cost or column.higher_is_better is None or not contenders:
        return set()
    pick = max if column.higher_is_better else min
    value = pick(line.cells[key].value for line in contenders)
    return {line.name for line in contenders if line.cells[key].value == value}
