"""Tables as Markdown, CSV, JSON and for the terminal. LaTeX: `genarena.leaderboard.latex`."""

import csv
import io
import json
import re
from dataclasses import asdict
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from genarena.leaderboard.badges import badges
from genarena.leaderboard.cells import Cell
from genarena.leaderboard.tables import Column, Table

LEGEND = (
    "One seed: value ± standard error (s.e.) of samples and test examples. Two seeds: both values. Three and more: mean ± half "
    "the 95% interval of seeds, samples and test examples. = exact, ≤ bound, ~ estimate."
)

TERMINAL = (  # the columns of a table in the terminal, beside the ranking one
    "bits_per_dim",
    "nll_nats",
    "iw_nll_nats",
    "fid",
    "fd_domain",
    "recall",
    "precision",
    "coverage",
    "class_histogram_kl",
    "nearest_neighbour_ratio",
    "kl_to_truth_nats",
    "train_seconds",
)


def heading(column: Column) -> str:
    """Title, unit, and an arrow for the better direction: up, down, or to the value of real data."""
    unit = f" ({column.unit})" if column.unit and column.unit != column.title else ""
    arrow = {True: " ↑", False: " ↓", None: " → real" if column.towards_real else ""}[column.higher_is_better]
    arrow = "" if column.is_cost else arrow
    return f"{column.title}{unit}{arrow}"


def caption(table: Table) -> str:
    return f"{table.data_id}, budget {table.budget}" + (f", on {table.machine}" if table.machine else "")


def markdown(tables: list[Table]) -> str:
    parts = [
        "# Leaderboard\n",
        f"{LEGEND} Rank 1–3: anywhere from the first to the third, the seeds do not say where; = beside a rank: the difference "
        "to the best is too small to matter; ?: too few seeds.\n",
    ]
    for table in tables:
        head = ["rank", "model", "family", "seeds", *(heading(column) for column in table.columns)]
        rows = [
            [line.rank, line.name, line.family, line.num_seeds, *(line.cells[c.key].text for c in table.columns)]
            for line in table.lines
        ]
        parts.append(f"## {escaped(caption(table))}\n")
        parts += [f"{escaped(table.apart)}\n"] if table.apart else []
        parts.append(
            "\n".join("| " + " | ".join(map(escaped, cells)) + " |" for cells in (head, ["---"] * len(head), *rows))
        )
        parts += [
            f"\n- {escaped(line.name)}, {escaped(table.column[key].title)}: {cell.resampling.text}"
            for line in table.lines
            for key, cell in line.cells.items()
            if cell.resampling and key in table.column
        ]
        parts += [
            f"\n- {escaped(line.name)}, rank {escaped(line.rank)}: {escaped(line.rank_note)}"
            for line in table.lines
            if line.rank_note and not line.is_reference
        ]
        parts += [
            f"\n- {escaped(line.name)}, {badge.text}: {escaped(badge.why)}"
            for line in table.lines
            for badge in badges(line)
            if badge.kind == "note"
        ]
        parts += [f"\n- no {escaped(name)}: {escaped(reason)}" for name, reason in table.empty.items()]
        parts += [f"\n- failed: {escaped(run.name)}, seed {run.seed}: {escaped(run.error)}" for run in table.failed]
        parts.append("")
    return "\n".join(parts) + "\n"


def escaped(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text.replace("\n", " ")) if text != "---" else text


def comma_separated(tables: list[Table]) -> str:
    """All tables in one CSV file, with one row per line of a table.

    A column has the mean; `<column>_se` has the standard error, `<column>_ci95_low` and `<column>_ci95_high` the ends of the
    interval (from three seeds on), `<column>_n` the number of examples. For rows that were scored again, `<column>_sampling`
    and `<column>_sampling_ci95` have the mean and half the interval over sampling seeds.
    """
    file = io.StringIO()
    rows = [flat(record) for record in records(tables)]
    first = [
        "data",
        "budget",
        "machine",
        "rank",
        "model",
        "overrides",
        "apart",
        "line",
        "imported",
        "family",
        "num_seeds",
        "likelihood",
        "device",
    ]
    others = dict.fromkeys(name for row in rows for name in row if name not in first)
    writer = csv.DictWriter(file, [*first, *others], restval="")
    writer.writeheader()
    writer.writerows({name: formula_safe(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """One of `records` as a flat dictionary; its cells become several entries each."""
    row = {name: value for name, value in record.items() if name not in ("cells", "rank_note", "gap")}
    for key, cell in record["cells"].items():
        low, high = cell["ci95"] or (None, None)
        row[key] = cell["value"]
        if cell["n"] is not None:  # a metric, no cost
            row |= {f"{key}_se": cell["standard_error"], f"{key}_n": cell["n"]}
            row |= {f"{key}_ci95_low": low, f"{key}_ci95_high": high}
        row |= {f"{key}_sign": cell["sign"]} if cell["sign"] else {}
        if cell["sampling"]:
            row |= {
                f"{key}_sampling": cell["sampling"]["value"],
                f"{key}_sampling_ci95": cell["sampling"]["ci95_half_width"],
            }
    return row


def formula_safe(value: Any) -> Any:
    """The value, with `'` before a text that a spreadsheet would execute as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def records(tables: list[Table]) -> list[dict[str, Any]]:
    """The lines of all tables as plain dictionaries."""
    return [
        {
            "data": table.data_id,
            "budget": table.budget,
            "machine": table.machine,
            "rank": line.rank,
            "rank_note": line.rank_note,
            "gap": line.gap and asdict(line.gap),
            "model": line.model,
            "overrides": " ".join(line.overrides),
            "apart": line.apart,
            "line": line.runs[0].row["line"]["id"],
            "imported": line.imported,
            "family": line.family,
            "num_seeds": len(line.runs),
            "num_diverged": len(line.diverged),
            "likelihood": line.runs[0].row.get("likelihood", "none"),
            "device": line.device,
            "cells": {key: _cell(line.cells[key], column) for key, column in table.column.items()},
        }
        for table in tables
        for line in table.lines
    ]


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    again = cell.resampling
    sampling = again and {"value": again.value, "ci95_half_width": again.half_width, "num_seeds": again.num_seeds}
    return {
        "value": cell.value,
        "unit": column.unit,
        "sign": cell.sign or None,
        "n": cell.n,
        "standard_error": cell.standard_error,
        "ci95": cell.interval,
        "ci95_half_width": cell.half_width,
        "real": cell.real,
        "num_seeds": cell.num_seeds,
        "values": cell.values,
        "runs": cell.runs,
        "protocol": column.protocol or None,
        "reason": cell.reason or None,
        "sampling": sampling,
    }


def as_json(tables: list[Table]) -> str:
    failed = [run.row for table in tables for run in table.failed]
    apart = {caption(table): table.apart for table in tables if table.apart}
    return json.dumps({"lines": records(tables), "apart": apart, "failed": failed}, indent=2, allow_nan=False) + "\n"


def terminal(table: Table) -> RichTable:
    """The table with the ranking column and the most important others, to fit a terminal. The page has all columns.

    Beneath it is why lines have no rank, and why runs failed.
    """
    columns = [column for column in table.columns if column.key in (table.ranked_by, *TERMINAL)]
    reasons: dict[str, list[str]] = {}
    for line in table.lines:
        if line.rank_note.startswith("not ranked"):
            reasons.setdefault(line.rank_note, []).append(line.name)
    told = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    why = "\n".join([*told, *(f"{run.name}, seed {run.seed}: {run.error}" for run in table.failed)])
    rich = RichTable(
        title=Text(caption(table)), title_justify="left", caption=Text(why) if why else None, caption_justify="left"
    )
    rich.add_column("rank", justify="right")
    rich.add_column("model", no_wrap=True)
    for column in columns:
        rich.add_column(Text(heading(column)), justify="right")
    for line in table.lines:
        rich.add_row(Text(line.rank), Text(line.name), *(Text(line.cells[column.key].text) for column in columns))
    for run in table.failed:
        rich.add_row(
            Text("–"), Text(f"{run.name} (seed {run.seed})", style="red"), Text(run.row["status"], style="red")
        )
    return rich
