"""Tables of tasks as Markdown and CSV."""

import csv
import io
from collections.abc import Iterable

from genarena.leaderboard import task_agreement
from genarena.leaderboard.formats import escaped, formula_safe
from genarena.leaderboard.task_lines import TaskLine
from genarena.leaderboard.tasks import TaskTable


def caption(table: TaskTable) -> str:
    return f"{table.title}: {table.data_id}, budget {table.budget}, protocol {table.protocol_id}"


def markdown(tables: Iterable[TaskTable]) -> str:
    parts = []
    for table in tables:
        head = ["method", "part", "algorithm", "kind", "seeds", *(table.heading(key) for key in table.columns)]
        rows = [
            [
                *map(escaped, (line.name, line.part, line.method, line.kind, str(len(line.runs) or ""))),
                *(_marked(table, line, key) for key in table.columns),
            ]
            for line in table.lines
        ]
        parts.append(f"## {escaped(caption(table))}\n")
        cells = (map(escaped, head), ["---"] * len(head), *rows)
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in cells) + "\n")
        parts += [
            f"- {escaped(line.name)}, {escaped(column.title)}: {escaped(line.value(key).over)}"
            for line in table.lines
            for key, column in table.columns.items()
            if line.runs and line.value(key).over
        ]
        remarks = [(line.label, ": ".join(filter(None, line.remark))) for line in table.lines]
        parts += [f"- {escaped(name)}: {escaped(remark)}" for name, remark in remarks if remark]
        parts.append(task_agreement.markdown(table))
    return "\n".join(parts)


def _marked(table: TaskTable, line: TaskLine, key: str) -> str:
    """The value, in bold type where the page marks it."""
    text = escaped(line.value(key).text)
    return f"**{text}**" if line is table.best.get(key) else text


def comma_separated(tables: Iterable[TaskTable]) -> str:
    """All tables in one CSV file; `<metric>_ci95` is half the interval."""
    rows, file = [], io.StringIO()
    for table in tables:
        for line in table.lines:
            row = {"task": table.title, "data": table.data_id, "protocol": table.protocol_id, "budget": table.budget}
            row |= {
                "method": line.name,
                "part": line.part,
                "algorithm": line.method,
                "kind": line.kind,
                "num_seeds": len(line.runs),
            }
            for key in table.columns:
                value = line.value(key)
                row |= {key: value.value, f"{key}_ci95": value.half_width}
            rows.append(row)
    writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
    writer.writeheader()
    writer.writerows({name: formula_safe(value) for name, value in row.items()} for row in rows)
    return file.getvalue()
