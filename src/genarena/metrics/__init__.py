"""The metrics: one torchmetrics `Metric` per file, found by its file name.

`metrics=[recall]` loads `recall.py`, and `metric.recall.k=5` sets an option of it. The parameters of a metric's `update` name
the evidence that it needs (`genarena.evaluation.evidence`), which has options `evidence.<kind>.<option>`. Nothing here imports
torch, so a typo fails before anything is loaded.
"""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from genarena import plugins
from genarena.errors import UserError
from genarena.options.hints import nearest
from genarena.options.of_metrics import of_evidence, of_metric, own


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


def own_options() -> dict[str, Any]:
    """`evidence.<kind>.<option>` -> type, of all evidence; and `metric.<name>.<option>`, of the metrics themselves."""
    nodes = {f"evidence.{kind}": found for kind, found in of_evidence().items()}
    nodes |= {f"metric.{name}": own(module) for name, module in sorted(_modules().items())}
    return {f"{node}.{option}": kind for node, found in nodes.items() for option, kind in found.items()}


def options() -> dict[str, Any]:
    """`own_options`, and `metric.<name>.<option>` for the options of the evidence that a metric uses."""
    return own_options() | {
        f"metric.{name}.{option}": kind
        for name, module in sorted(_modules().items())
        for option, kind in of_metric(module).items()
    }


def check_option(key: str) -> Any:
    """The type of an option `metric.<name>.<option>` or `evidence.<kind>.<option>`. Raises UserError, with the nearest one, if
    there is none."""
    node, _, rest = key.partition(".")
    name, _, option = rest.partition(".")
    module = _modules().get(name) if node == "metric" else None
    found = of_metric(module) if module else of_evidence().get(name, {}) if node == "evidence" else {}
    if option not in found:
        raise UserError(f"{key}: there is no such option{_instead(key, options())}")
    return found[option]


def _instead(key: str, known: Iterable[str]) -> str:
    """The nearest option of the metric or evidence in a key, or all that it has; if it does not exist, those that do."""
    owner, _, option = key.rpartition(".")
    own = [name.rpartition(".")[2] for name in known if name.startswith(f"{owner}.")]
    if own:
        near = difflib.get_close_matches(option, own, n=1)
        return f"; did you mean {owner}.{near[0]}?" if near else f"; {owner} has {', '.join(own)}"
    node = key.split(".")[0]
    having = dict.fromkeys(name.split(".")[1] for name in known if name.startswith(f"{node}."))
    return nearest(key, known) or f"; there is {node}.<{', '.join(having)}>.<option>"
