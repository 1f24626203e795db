"""The protocol of each metric: everything that its number depends on, except the model and the data set.

Numbers of two rows of one data set compare where the ids of their protocols are equal. Other metrics, seeds of sampling, batch
sizes and libraries that compute nothing of a metric are not in its id.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from genarena.data.base import ArenaDataModule
from genarena.evaluation import networks
from genarena.evaluation.asked import Asked, Options, asked, needed
from genarena.evaluation.code import code_of
from genarena.evaluation.evidence.base import Kind, kind_of
from genarena.evaluation.settings import EvaluationSettings
from genarena.metrics import check
from genarena.spec import DataSpec

PROTOCOL_VERSION = 5


def protocol(
    metrics: Sequence[str],
    settings: EvaluationSettings,
    options: Options | None = None,
    data: ArenaDataModule | None = None,
) -> dict[str, Any]:
    """`metrics`: name -> `id`, and everything that it is a hash of. `version`: of this form. `sample_seed`: in no id.

    options: `evidence.<kind>.<option>` and `metric.<name>.<option>` -> value. data: the data set, set up; without it, the
    limits of test examples stand in place of the number that there is. It loads the metrics. Raises UserError for a metric or
    an option that does not exist, a value that an option cannot have, and a named file of weights that is missing.
    """
    chosen = asked(sorted(check(metrics)), options, data.spec if data else None)
    place = _Place(settings, data.spec if data else None, getattr(data, settings.split).size if data else None)
    return {
        "version": PROTOCOL_VERSION,
        "sample_seed": settings.sample_seed,
        "metrics": {name: _identified({"metric": name, **place.rules(each)}) for name, each in chosen.items()},
    }


def _identified(rules: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps({"version": PROTOCOL_VERSION, **rules}, sort_keys=True)
    return {"id": hashlib.sha256(content.encode()).hexdigest()[:8], **rules}


@dataclass(frozen=True)
class _Place:
    """Where metrics are measured. size: the number of test examples; None: not known yet, like the spec."""

    settings: EvaluationSettings
    spec: DataSpec | None
    size: int | None

    def rules(self, each: Asked) -> dict[str, Any]:
        """Everything that the number of a metric depends on. Settings are those in use, here and on this data."""
        pieces = self._pieces(needed(each.metric))
        kinds = sorted({kind_of()[piece] for piece in pieces}, key=lambda kind: kind.__module__)
        through = sorted(set(self._networks(kinds)))
        code = code_of([each.metric, *kinds, *(root for name in through for root in networks.code(name))])
        return {
            "split": self.settings.split,
            "settings": {name: self._used(name, value) for name, value in each.settings.items() if self._counts(name)},
            "networks": {name: networks.identity(name, self.settings.features) for name in through},
            "libraries": code.versions,
            "constants": code.constants,
            "code": code.digest,
        }

    def _pieces(self, names: Sequence[str]) -> list[str]:
        """The pieces, and all that they need, by their parameters or by asking for them."""
        waiting, seen = list(names), []
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.append(name)
                kind = kind_of()[name]
                waiting += [*kind.pieces()[name], *kind.asks(name, self.settings, self.spec)]
        return seen

    def _networks(self, kinds: Sequence[type[Kind]]) -> Iterator[str]:
        for kind in kinds:
            if kind.network:
                yield kind.network
            if kind.in_chosen_space and (self.spec is None or self.spec.is_image):
                yield self.settings.features.space_for(self.spec)

    def _counts(self, name: str) -> bool:
        """Conditions of samples count only where models have some."""
        return name != "samples.conditions" or (self.spec is not None and self.spec.condition is not None)

    def _used(self, name: str, value: Any) -> Any:
        """A limit of test examples is as used: no more than there are."""
        return min(value, self.size) if name.endswith(".num_test") and self.size is not None else value
