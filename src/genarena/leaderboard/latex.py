"""Tables as LaTeX, to be used as they are: a table per aspect, the best in bold, references below a rule, the protocol beneath.

A table is never wider than the line it stands on.
"""

from collections.abc import Iterator, Sequence

from genarena.errors import UserError
from genarena.leaderboard import aspects
from genarena.leaderboard.cells import MIN_SEEDS, Cell
from genarena.leaderboard.formats import caption
from genarena.leaderboard.heads import real_value
from genarena.leaderboard.lines import Line
from genarena.leaderboard.made import seeds
from genarena.leaderboard.numbers import fixed
from genarena.leaderboard.ranking import UNTESTED, best
from genarena.leaderboard.tables import Column, Table

NEEDS = r"% needs \usepackage{booktabs} \usepackage{graphicx}"
WIDEST = 4  # columns of metrics in one table, beside rank and model
FITTED = r"\resizebox{\ifdim\width>\linewidth \linewidth\else\width\fi}{!}{%"
ONE_SEED, DAGGER = " s.e.", r"$^\dagger$"
ARROWS = {True: "↑", False: "↓"}
TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"$\sim$",
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
    """Booktabs tables. Bold: the best value and those equivalent to it.

    columns: keys of metrics and costs, in the order wanted, of the tables that have any of them; None: all metrics, no costs.
    Raises UserError for one that no table has.
    """
    if isinstance(columns, str):
        raise UserError(f"columns={columns}: expected a list, e.g. columns=[{columns}]")
    known = dict.fromkeys(column.key for table in tables for column in table.columns)
    if unknown := [key for key in columns or () if key not in known]:
        raise UserError(f"columns={unknown[0]}: no table has this column; there are {', '.join(known)}")
    parts = (part for table in tables for part in (_parts(table) if columns is None else _chosen(table, columns)))
    return "\n".join([NEEDS, *parts]) + "\n"


def _chosen(table: Table, keys: Sequence[str]) -> list[str]:
    columns = [table.column[key] for key in keys if key in table.column]
    return _table(table, columns, "results", "results") if columns else []


def _parts(table: Table) -> Iterator[str]:
    """The tables of one table of the page: one for each aspect, none with more than `WIDEST` metrics."""
    of_aspect: dict[str, list[Column]] = {}
    for column in aspects.ordered(table):
        if not column.is_cost:
            of_aspect.setdefault(aspects.aspect(column, table), []).append(column)
    for aspect, columns in of_aspect.items():
        for start in range(0, len(columns), WIDEST):
            label = f"{aspect}-{start // WIDEST + 1}" if start else aspect
            yield from _table(table, columns[start : start + WIDEST], aspect, label)


def _table(table: Table, columns: list[Column], aspect: str, label: str) -> list[str]:
    bold = {column.key: best(table.lines, column.key) for column in columns}
    groups = [
        [line for line in table.lines if (line.is_reference or line.imported) == beside] for beside in (False, True)
    ]
    mark = "" if _is_of_one(table) else DAGGER
    rows = [[_row(line, columns, bold, mark) for line in group] for group in groups if group]
    real = [_real(table, column) for column in columns]
    if any(real):
        rows = [*rows[:1], [*(rows[1] if len(rows) > 1 else []), _line(["", "real data", *real])]]
    return [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_caption(table, columns, aspect)}}}",
        f"\\label{{tab:{table.anchor}-{label}}}",
        "\\par\\smallskip",
        FITTED,
        f"\\begin{{tabular}}{{ll{'r' * len(columns)}}}",
        "\\toprule",
        _line(["rank", "model", *(_escaped(f"{column.title} {_arrow(column)}".strip()) for column in columns)]),
        *([_line(["", "", *(_escaped(_unit(column)) for column in columns)])] if any(map(_unit, columns)) else []),
        *(text for group in rows for text in ("\\midrule", *group)),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\end{table}",
        "",
    ]


def _row(line: Line, columns: list[Column], bold: dict[str, set[str]], mark: str) -> str:
    cells = [_number(line.cells[column.key], mark) for column in columns]
    cells = [
        rf"\textbf{{{text}}}" if line.name in bold[column.key] else text
        for text, column in zip(cells, columns, strict=True)
    ]
    return _line([_escaped(line.rank), _escaped(line.name), *cells])


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _number(cell: Cell, mark: str) -> str:
    """The text of a cell. mark: of a standard error of one seed."""
    return _negative(_escaped(cell.text.removesuffix(ONE_SEED)) + (mark if cell.text.endswith(ONE_SEED) else ""))


def _negative(text: str) -> str:
    return f"$-${text.removeprefix('-')}" if text.startswith("-") and text != "--" else text


def _is_of_one(table: Table) -> bool:
    """Whether no line has two seeds: then every ± is a standard error, and none needs a mark."""
    return all(len(line.runs) == 1 for line in table.lines)


def _real(table: Table, column: Column) -> str:
    value = real_value(table, column.key)
    places = table.lines[0].cells[column.key].decimals
    return "" if value is None else _negative(fixed(value, places))


def _arrow(column: Column) -> str:
    return ARROWS.get(column.higher_is_better, "→" if column.towards_real else "")  # type: ignore[arg-type]


def _unit(column: Column) -> str:
    return f"({column.unit})" if column.unit and column.unit != column.title else ""


# -- the caption -------------------------------------------------------------------------------------------------------


def _caption(table: Table, columns: list[Column], aspect: str) -> str:
    """The data, the budget and what ranks; n and protocol of each metric; what the numbers are."""
    ranks = f", ranked by {table.column[table.ranked_by].title}" if table.ranked_by else ""
    said = [
        f"{aspect.capitalize()} on {caption(table)}{ranks}.",
        table.apart,
        f"{'; '.join(_measured(table, column) for column in columns if not column.is_cost)}.",
        *_legend(table, columns),
    ]
    return _escaped(" ".join(filter(None, said))).replace("(DAGGER)", DAGGER)


def _measured(table: Table, column: Column) -> str:
    """The title of a metric with the number of examples and its protocol. References may have another number."""
    known = {(line.is_reference, line.cells[column.key].n) for line in table.lines if line.cells[column.key].n}
    sizes = sorted(n for is_reference, n in known if not is_reference)
    others = sorted({n for is_reference, n in known if is_reference} - set(sizes))
    said = [f"n {' to '.join(f'{n:,}' for n in dict.fromkeys((sizes[0], sizes[-1])))}"] if sizes else []
    said += [f"references also {', '.join(f'{n:,}' for n in others)}"] if sizes and others else []
    said += [f"protocol {column.protocol}"] if column.protocol else []
    return f"{column.title}: {', '.join(said)}"


def _legend(table: Table, columns: list[Column]) -> list[str]:
    """Sentences on what is in the table, and on nothing else."""
    cells = [line.cells[column.key] for line in table.lines for column in columns]
    cells = [cell for cell in cells if cell.value is not None]
    ranks, texts = [line.rank for line in table.lines], [cell.text for cell in cells]
    has_bold = any(best(table.lines, column.key) for column in columns)
    one = "±: standard error of samples and test examples."
    said = {
        f"{seeds([table])}.": bool(seeds([table])),
        "±: half the 95% interval over training seeds, samples and test examples.": any(
            cell.num_seeds >= MIN_SEEDS and cell.half_width is not None for cell in cells
        ),
        one if _is_of_one(table) else f"(DAGGER): one seed, {one}": any(text.endswith(ONE_SEED) for text in texts),
        "Two numbers: those of two seeds.": any(cell.num_seeds == 2 for cell in cells),
        "=: exact, ≤: bound, ~: estimate.": any(cell.sign for cell in cells),
        "→: nearer to real data is better.": any(_arrow(column) == "→" for column in columns),
        "Bold: the best, and what is equivalent to it.": has_bold,
        f"Rank {UNTESTED}: fewer than {MIN_SEEDS} seeds.": UNTESTED in ranks,
        "Rank 1–3: from the first to the third, the seeds do not say where.": any("–" in rank[1:] for rank in ranks),
    }
    return [text for text, is_there in said.items() if is_there]


def _escaped(text: str) -> str:
    return "".join(TEX.get(character, character) for character in text.replace("\n", " "))
