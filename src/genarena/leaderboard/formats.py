"""A table as Markdown, CSV, JSON, LaTeX and as a terminal table."""

import csv
import io
import json
import re
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from genarena.leaderboard.tables import Column, Table

TEX = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
       "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
       "≤": r"$\le$", "±": r"$\pm$", "–": "--", "↓": r"$\downarrow$", "↑": r"$\uparrow$"}  # fmt: skip


def heading(column: Column) -> str:
    """Title, unit, and an arrow towards better."""
    unit = f" ({column.unit})" if column.unit and column.unit != column.title else ""
    arrow = "" if column.is_cost or column.higher_is_better is None else (" ↑" if column.higher_is_better else " ↓")
    return f"{column.title}{unit}{arrow}"


def caption(table: Table) -> str:
    return f"{table.data_id}, budget {table.budget}, protocol {table.protocol_id}"


def markdown(tables: list[Table]) -> str:
    parts = ["# Leaderboard\n", "Mean ± half of the 95% interval over training seeds. = exact, ≤ bound, ~ estimate.\n"]
    for table in tables:
        head = ["model", "family", "seeds", *(heading(column) for column in table.columns)]
        rows = [[line.name, line.family, str(len(line.runs)), *(line.cells[c.key].text for c in table.columns)]
                for line in table.lines]  # fmt: skip
        parts.append(f"## {_md(caption(table))}\n")
        parts.append(
            "\n".join("| " + " | ".join(map(_md, cells)) + " |" for cells in (head, ["---"] * len(head), *rows))
        )
        parts += [f"\n- no {_md(name)}: {_md(reason)}" for name, reason in table.empty.items()]
        parts += [f"\n- failed: {_md(run.row['model'])}, seed {run.row['seed']}: {_md(run.row.get('error', ''))}"
                  for run in table.failed]  # fmt: skip
        parts.append("")
    return "\n".join(parts) + "\n"


def _md(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text.replace("\n", " ")) if text != "---" else text


def comma_separated(tables: list[Table]) -> str:
    """One line per table line; for each column the mean and, as `<column>_ci95`, half the interval."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    file = io.StringIO()
    fields = ["data", "protocol", "budget", "model", "overrides", "family", "num_seeds", "likelihood"]
    writer = csv.DictWriter(file, fields + [name for key in keys for name in (key, f"{key}_ci95")], restval="")
    writer.writeheader()
    for row in records(tables):
        values = {key: cell["value"] for key, cell in row["cells"].items() if key in keys}
        widths = {f"{key}_ci95": cell["ci95_half_width"] for key, cell in row["cells"].items() if key in keys}
        writer.writerow({name: _formula_safe(row[name]) for name in fields} | values | widths)
    return file.getvalue()


def _formula_safe(value: Any) -> Any:
    """A spreadsheet would run text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def records(tables: list[Table]) -> list[dict[str, Any]]:
    """The lines of all tables as plain dictionaries."""
    return [
        {"data": table.data_id, "protocol": table.protocol_id, "budget": table.budget, "model": line.model,
         "overrides": " ".join(line.overrides), "family": line.family, "num_seeds": len(line.runs),
         "likelihood": line.runs[0].row["likelihood"],
         "cells": {key: {"value": cell.value, "ci95_half_width": cell.half_width, "reason": cell.reason or None}
                   for key, cell in line.cells.items()}}
        for table in tables for line in table.lines
    ]  # fmt: skip


def as_json(tables: list[Table]) -> str:
    failed = [run.row for table in tables for run in table.failed]
    return json.dumps({"lines": records(tables), "failed": failed}, indent=2, allow_nan=False) + "\n"


def latex(tables: list[Table]) -> str:
    """One booktabs `tabular` per table, metrics only."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in tables:
        columns = [column for column in table.columns if not column.is_cost]
        parts += [f"% {_tex(caption(table))}", f"\\begin{{tabular}}{{l{'r' * len(columns)}}}", "\\toprule"]
        parts += [" & ".join(["model", *(_tex(heading(column)) for column in columns)]) + r" \\", "\\midrule"]
        parts += [" & ".join([_tex(line.name), *(_tex(line.cells[column.key].text) for column in columns)]) + r" \\"
                  for line in table.lines]  # fmt: skip
        parts += ["\\bottomrule", "\\end{tabular}", ""]
    return "\n".join(parts) + "\n"


def _tex(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text.replace("\n", " "))


def terminal(table: Table) -> RichTable:
    """Likelihood and quality columns that fit a terminal; the page has the rest."""
    wanted = ("bits_per_dim", "nll_nats", "iw_nll_nats", "fid", "fd_domain", "recall", "precision", "coverage",
              "class_histogram_kl", "nearest_neighbour_ratio", "train_seconds")  # fmt: skip
    columns = [column for column in table.columns if column.key in wanted]
    rich = RichTable(title=Text(caption(table)), title_justify="left")
    rich.add_column("model", no_wrap=True)
    for column in columns:
        rich.add_column(Text(heading(column)), justify="right")
    for line in table.lines:
        rich.add_row(Text(line.name), *(Text(line.cells[column.key].text) for column in columns))
    for run in table.failed:
        rich.add_row(Text(f"{run.row['model']} (seed {run.row['seed']})", style="red"), Text("failed", style="red"))
    return rich
