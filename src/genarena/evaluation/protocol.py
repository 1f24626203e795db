"""The protocol: everything that defines the numbers of an evaluation."""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from genarena.evaluation import networks
from genarena.evaluation.asked import Options, asked, needed
from genarena.evaluation.evidence import base as evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.metrics import check

PROTOCOL_VERSION = 4
LIBRARIES = ("torch-fidelity", "torchmetrics")  # whose version may change a number
QUANTISER = "integer levels in memory, as the model returns them (genarena.likelihood)"


def protocol(metrics: Sequence[str], settings: EvaluationSettings, options: Options | None = None) -> dict[str, Any]:
    """Everything that defines the numbers, except the data set, which has its own id. `id` is the hash of all other entries.

    options: metric -> option -> value, as in the node `metric` of a configuration. It loads the metrics. Raises UserError for a
    metric or an option that does not exist, a value that an option cannot have, and a named file of weights that is missing.
    """
    chosen = asked(sorted(check(metrics)), options)
    kinds = evidence.used([piece for each in chosen.values() for piece in needed(each.metric)])
    space = settings.features.space_for(None) if any(kind.in_chosen_space for kind in kinds) else None
    through = {name for name in (space, *(kind.network for kind in kinds)) if name}
    numbers = settings.numbers | {name: value for kind in kinds for name, value in kind.constants.items()}
    for name, each in chosen.items():
        numbers |= {f"{name}.{option}": value for option, value in each.settings.items()}
    rules = {
        "version": PROTOCOL_VERSION,
        "metrics": list(chosen),
        "settings": numbers,
        "split": settings.split,
        "quantiser": QUANTISER,
        "space": space,
        "networks": {name: networks.identity(name, settings.features) for name in sorted(through)},
        "libraries": {library: _version(library) for library in [*LIBRARIES, *networks.libraries(through)]},
    }
    return {"id": hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()[:8], **rules}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
