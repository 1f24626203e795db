"""The metrics: one torchmetrics `Metric` per file, found by its file name.

`metrics=[recall]` loads `recall.py`, and `metric.recall.k=5` sets an option of it. The parameters of a metric's `update` name
the evidence that it needs, see `genarena.evaluation.evidence`. Nothing here imports torch, so a typo fails before anything
is loaded.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genarena import plugins
from genarena.errors import UserError
from genarena.options.hints import nearest
from genarena.options.of_metrics import of_metric


def names() -> list[str]:
    """Names of all metrics, sorted: the files of this folder, and of the folder `metrics` of each plugin."""
    return sorted(_modules())


def module_of(name: str) -> str:
    """The dotted name of a metric's module."""
    return _modules()[name]


def _modules() -> dict[str, str]:
    """Name -> module. A plugin cannot replace a metric of genarena."""
    found = {}
    for package, folder in {**plugins.packages(), "genarena": Path(__file__).parents[1]}.items():
        files = [path.stem for path in (folder / "metrics").glob("*.py") if path.stem not in ("__init__", "base")]
        found |= {name: f"{package}.metrics.{name}" for name in files}
    return found


def check(metrics: Sequence[str]) -> list[str]:
    """The metrics, each once, in the given order. Raises UserError if one does not exist."""
    if isinstance(metrics, str) or not isinstance(metrics, Sequence):
        example = metrics if isinstance(metrics, str) else "bits_per_dim"
        raise UserError(f"metrics={'null' if metrics is None else metrics}: expected a list, e.g. metrics=[{example}]")
    known = names()
    for name in metrics:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise UserError(f"metrics={name}: no such metric; {hint}")
    return list(dict.fromkeys(metrics))


def options() -> dict[str, Any]:
    """`metric.<name>.<option>` -> type, of all metrics."""
    return {f"metric.{name}.{option}": kind for name in names() for option, kind in of_metric(module_of(name)).items()}


def check_option(key: str) -> Any:
    """The type of the option `metric.<name>.<option>`. Raises UserError, with the nearest one, if there is none."""
    known = options()
    if key not in known:
        raise UserError(f"{key}: there is no such option{nearest(key, known) or _instead(key)}")
    return known[key]


def _instead(key: str) -> str:
    """The options of the metric in a key, or the metrics that have some."""
    own = [name for name in options() if name.startswith(f"{'.'.join(key.split('.')[:2])}.")]
    having = dict.fromkeys(name.split(".")[1] for name in options())
    return f"; there are {', '.join(own)}" if own else f"; metrics with options are {', '.join(having)}"
