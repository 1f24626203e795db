"""The protocol: everything that defines the numbers of an evaluation. Also finds metrics by their names."""

import hashlib
import importlib
import inspect
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from genarena.errors import UserError
from genarena.evaluation import networks
from genarena.evaluation.evidence import base as evidence
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import SharedSettings
from genarena.metrics import check, module_of
from genarena.metrics.base import ArenaMetric

PROTOCOL_VERSION = 3
LIBRARIES = ("torch-fidelity", "torchmetrics")  # whose version may change a number
QUANTISER = "integer levels in memory, as the model returns them (genarena.likelihood)"


def protocol(metrics: Sequence[str], settings: EvaluationSettings) -> dict[str, Any]:
    """Everything that defines the numbers, except the data set, which has its own id. `id` is the hash of all other entries.

    It loads the metrics. Raises UserError for a metric that does not exist, and for a named file of weights that is
    missing.
    """
    classes = {name: load_metric(name) for name in sorted(check(metrics))}
    kinds = evidence.used([piece for metric in classes.values() for piece in needed(metric)])
    space = settings.features.space if any(kind.in_chosen_space for kind in kinds) else None
    through = {name for name in (space, *(kind.network for kind in kinds)) if name}
    numbers = settings.of(SharedSettings)
    for kind in kinds:
        numbers |= (settings.of(kind.Settings) if kind.Settings else {}) | kind.constants
    rules = {
        "version": PROTOCOL_VERSION,
        "metrics": list(classes),
        "settings": numbers,
        "split": settings.split,
        "quantiser": QUANTISER,
        "space": space,
        "networks": {name: networks.identity(name, settings.features) for name in sorted(through)},
        "k": {name: metric.k for name, metric in classes.items() if hasattr(metric, "k")},
        "libraries": {library: _version(library) for library in [*LIBRARIES, *networks.libraries(through)]},
    }
    return {"id": hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:8], **rules}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def load_metric(name: str) -> type[ArenaMetric]:
    """The metric class of `genarena/metrics/<name>.py`. Raises UserError if there is no such file, if it has not
    exactly one metric class, or if the class has no title or record, or needs unknown evidence."""
    check([name])
    module = importlib.import_module(module_of(name))
    members = [
        member for member in vars(module).values() if inspect.isclass(member) and member.__module__ == module.__name__
    ]
    found = [member for member in members if issubclass(member, ArenaMetric)]
    if len(found) != 1:
        raise UserError(f"metrics={name}: {module_of(name)} has {len(found)} metric classes, expected one")
    if not getattr(found[0], "title", ""):
        raise UserError(f"metrics={name}: its class has no title, the heading of its column")
    if getattr(found[0].record, "__isabstractmethod__", False):
        raise UserError(f"metrics={name}: its class has no `record`, which gives n, the number of examples")
    unknown = set(needed(found[0])) - set(Evidence.names())
    if unknown:
        asked, there = ", ".join(sorted(unknown)), ", ".join(Evidence.names())
        raise UserError(f"metrics={name}: its `update` asks for {asked}; there are {there}")
    return found[0]


def needed(metric: type[ArenaMetric]) -> list[str]:
    """Names of the evidence that the metric's `update` needs."""
    return list(inspect.signature(metric.update).parameters)[1:]
