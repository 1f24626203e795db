"""Tables as LaTeX, to be used as they are: caption, best values in bold, references below a rule."""

from collections.abc import Sequence

from genarena.errors import UserError
from genarena.leaderboard.formats import LEGEND, caption, heading
from genarena.leaderboard.lines import Line
from genarena.leaderboard.ranking import best
from genarena.leaderboard.tables import Column, Table

TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "≤": r"$\le$",
    "±": r"$\pm$",
    "–": "--",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\to$",
}


def latex(tables: list[Table], columns: Sequence[str] | None = None) -> str:
    """One booktabs table each. Bold: the best value and those equivalent to it.

    columns: keys of metrics and costs, in the order wanted, of the tables that have any of them; None: all metrics, no costs.
    Raises UserError for one that no table has.
    """
    if isinstance(columns, str):
        raise UserError(f"columns={columns}: expected a list, e.g. columns=[{columns}]")
    known = dict.fromkeys(column.key for table in tables for column in table.columns)
    if unknown := [key for key in columns or () if key not in known]:
        raise UserError(f"columns={unknown[0]}: no table has this column; there are {', '.join(known)}")
    chosen = [(table, _chosen(table, columns)) for table in tables]
    parts = (part for table, found in chosen if found or columns is None for part in _table(table, found))
    return "\n".join(["% needs \\usepackage{booktabs}", *parts]) + "\n"


def _chosen(table: Table, keys: Sequence[str] | None) -> list[Column]:
    if keys is None:
        return [column for column in table.columns if not column.is_cost]
    return [table.column[key] for key in keys if key in table.column]


def _table(table: Table, columns: list[Column]) -> list[str]:
    bold = {column.key: best(table.lines, column.key) for column in columns}
    head = ["rank", "model", "seeds", *(heading(column) for column in columns)]
    groups = [
        [line for line in table.lines if (line.is_reference or line.imported) == beside] for beside in (False, True)
    ]
    rows = [[_row(line, columns, bold) for line in group] for group in groups if group]
    return [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_escaped(_caption(table, columns))}}}",
        f"\\begin{{tabular}}{{rlr{'r' * len(columns)}}}",
        "\\toprule",
        " & ".join(map(_escaped, head)) + r" \\",
        *(text for group in rows for text in ("\\midrule", *group)),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
        "",
    ]


def _row(line: Line, columns: list[Column], bold: dict[str, set[str]]) -> str:
    cells = [_escaped(line.cells[column.key].text) for column in columns]
    cells = [
        rf"\textbf{{{text}}}" if line.name in bold[column.key] else text
        for text, column in zip(cells, columns, strict=True)
    ]
    return " & ".join([*map(_escaped, (line.rank, line.name, line.num_seeds)), *cells]) + r" \\"


def _caption(table: Table, columns: list[Column]) -> str:
    """The data, the budget, the protocol of each metric; and what the numbers are."""
    ids = "; ".join(f"{column.title} {column.protocol}" for column in columns if column.protocol)
    tested = f"{caption(table)}, protocols {ids}."
    return f"{tested} {LEGEND} Bold: the best, and what is equivalent to it.{f' {table.apart}' if table.apart else ''}"


def _escaped(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text.replace("\n", " "))
