"""The curves of the disturbance suite as JSON and as a Markdown table."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genarena.files.atomic import replace_atomically
from genarena.published.disturbances import DISTURBANCES, Curve

LEGEND = """Each cell: the value for undisturbed images, an arrow, the value at the largest strength; and whether the curve
between them changes as it should, monotonically within two standard errors (**yes**), changes as it should in all but not
monotonically (*uneven*), or does not notice or changes the wrong way (**no**). Without a word: nothing is expected.
With one split there is no standard error, and every step back counts."""
WORDS = {"as it should": " **yes**", "not monotone": " *uneven*", "blind": " **no**", "-": ""}


def record(curves: list[Curve], reasons: dict[str, str], facts: dict[str, Any]) -> dict[str, Any]:
    """Everything that was measured; JSON-able. Leaderboards read it."""
    return {
        **facts,
        "disturbances": {name: _meaning(disturb) for name, (disturb, _) in DISTURBANCES.items()},
        "curves": [
            {
                "metric": curve.metric,
                "disturbance": curve.disturbance,
                "strengths": list(curve.strengths),
                "mean": curve.mean,
                "values": curve.values,
                "expected": curve.expected,
                "verdict": curve.verdict,
            }
            for curve in curves
        ],
        "reasons": reasons,
    }


def _meaning(disturb: Callable) -> str:
    """The first sentence of its docstring: what is done, and what its strength is."""
    return (inspect.getdoc(disturb) or "").partition(". ")[0].rstrip(".")


def markdown(curves: list[Curve], reasons: dict[str, str], title: str) -> str:
    """A table with a row per metric and a column per disturbance."""
    cells = {(curve.metric, curve.disturbance): curve for curve in curves}
    metrics, columns = list(dict.fromkeys(curve.metric for curve in curves)), list(DISTURBANCES)
    lines = [f"## {title}", "", f"| metric | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for metric in metrics:
        row = [_cell(cells.get((metric, column))) for column in columns]
        lines.append(f"| `{metric}` | {' | '.join(row)} |")
    lines += ["", *(f"No value: `{metric}`, {reason}." for metric, reason in reasons.items())]
    return "\n".join(lines).rstrip() + "\n"


def _cell(curve: Curve | None) -> str:
    if curve is None:
        return ""
    mean = curve.mean
    return f"{mean[0]:.3g} → {mean[-1]:.3g}{WORDS[curve.verdict]}"


def write(curves: list[Curve], reasons: dict[str, str], facts: dict[str, Any], folder: Path) -> list[Path]:
    """`disturbances.json` and `disturbances.md` in the folder; their paths."""
    splits = f"{facts['repeats']} random split{'s' if facts['repeats'] > 1 else ''}"
    title = f"{facts['data']}, {facts['n']:,} images in either half, {splits}"
    texts = {
        "disturbances.json": json.dumps(record(curves, reasons, facts), indent=1) + "\n",
        "disturbances.md": f"{LEGEND}\n\n{markdown(curves, reasons, title)}",
    }
    paths = [folder / name for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        replace_atomically(path, lambda temporary, text=text: temporary.write_text(text))
    return paths
