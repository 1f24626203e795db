"""What a column is about, in one line, and which columns are seen first.

The meaning of a metric is the first sentence of its file, read without importing it: leaderboards need no torch.
"""

import ast
import re
from functools import cache
from pathlib import Path

from genarena.leaderboard.tables import Column, Table

METRICS = Path(__file__).parent.parent / "metrics"
ASPECTS = ("quality", "likelihood", "diversity", "memorisation", "cost")
PRESETS = {
    "overview": "one column of each kind",
    "quality": "how close samples are to data",
    "likelihood": "how probable test data is under the model",
    "diversity": "how much of the data samples cover",
    "memorisation": "whether samples are copies of training examples",
    "cost": "size, time, operations, memory",
    "all": "every column",
}
ASPECT_OF = {  # a metric that is not named here and records no `aspect` is one of quality
    "recall": "diversity",
    "coverage": "diversity",
    "vendi": "diversity",
    "class_histogram_kl": "diversity",
    "nearest_neighbour_ratio": "memorisation",
    "authpct": "memorisation",
    "c_t": "memorisation",
    "synthesis_khz": "cost",
}
FIRST = {  # the columns of the overview, in this order of preference; a table has the first that is there
    "likelihood": ("bits_per_dim", "nll_nats"),
    "diversity": ("recall", "coverage", "vendi"),
    "memorisation": ("nearest_neighbour_ratio", "authpct", "c_t"),
    "cost": ("train_flops", "train_seconds", "examples_seen"),
}
OVERVIEW = 5  # columns of numbers beside the name and the rank
NAME = 24  # characters of a name before a colon, which says less than what stands behind it
PROTOCOL = re.compile(r"_[0-9a-f]{8}$")
CITATION = re.compile(r"\s*\([^()]*(?:\([^()]*\)[^()]*)*\d{4}[^()]*\)|, after [A-Z]\w+ et al\. \d{4}")


def aspect(column: Column, table: Table) -> str:
    """What a column tells: one of `ASPECTS`."""
    if column.group in ("cost", "likelihood"):
        return column.group
    given = next((record["aspect"] for record in records(table, column.key) if "aspect" in record), None)
    return given if given in ASPECTS else ASPECT_OF.get(metric_of(column.key), "quality")


def ordered(table: Table) -> list[Column]:
    """The columns of a table, the ranking one first, the others by aspect."""
    place = {
        column.key: (column.key != table.ranked_by, ASPECTS.index(aspect(column, table))) for column in table.columns
    }
    return sorted(table.columns, key=lambda column: place[column.key])


def overview(table: Table) -> list[str]:
    """Keys of the columns that are seen first: the ranking one, then one per aspect, then others to make up `OVERVIEW`."""
    columns = ordered(table)
    by_aspect: dict[str, list[str]] = {name: [] for name in ASPECTS}
    for column in columns:
        by_aspect[aspect(column, table)].append(column.key)
    chosen = [column.key for column in columns[:1] if table.ranked_by]
    for name, keys in by_aspect.items():
        if keys and not set(keys) & set(chosen):
            chosen.append(next((key for key in FIRST.get(name, ()) if key in keys), keys[0]))
    rest = [key for keys in by_aspect.values() for key in keys if key not in chosen]
    chosen += rest[: max(0, OVERVIEW - len(chosen))]
    return [column.key for column in columns if column.key in chosen]


def presets(column: Column, table: Table, first: list[str]) -> list[str]:
    """The names of the presets that show a column; the ranking one is in all of them."""
    if column.key == table.ranked_by:
        return list(PRESETS)
    return [*(["overview"] if column.key in first else []), aspect(column, table), "all"]


def records(table: Table, key: str, with_references: bool = True) -> list[dict]:
    """The records of a metric or a cost in the runs of a table, without those that have no value."""
    lines = [line for line in table.lines if with_references or not line.is_reference]
    found = (run.record(key) for line in lines for run in line.runs if run.has(key))
    return [record for record in found if record.get("value") is not None]


def meaning(column: Column) -> str:
    """One line that says what a column is; empty where nothing is known of it."""
    return column.note or meaning_of(metric_of(column.key))


def metric_of(key: str) -> str:
    """The metric of a column, whose key may also name a condition and a protocol: `fid_given_label_0123abcd` is `fid`."""
    return PROTOCOL.sub("", key).partition("_given_")[0]


@cache
def meaning_of(metric: str) -> str:
    """The first sentence of a metric's file; empty where there is none."""
    path = METRICS / f"{metric}.py"
    if not (metric.isidentifier() and path.is_file()):
        return ""
    text = CITATION.sub("", (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0])
    return re.split(r"(?<=[^\d])\.(?:\s|$)|; defined here", " ".join(text.split()))[0].rstrip(" .:")


def brief(text: str) -> str:
    """The meaning for a heading, without a name in front of it or an explanation behind it."""
    before, colon, after = text.partition(": ")
    if not colon:
        return text.partition(", ")[0]
    return f"{after[0].upper()}{after[1:]}" if len(before) <= NAME and after else before
