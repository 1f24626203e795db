"""The settings of an evaluation: those that all kinds of evidence share, and those of each kind."""

from dataclasses import dataclass, fields
from typing import Any

from genarena.evaluation.evidence.base import settings_in
from genarena.evaluation.subject import SharedSettings


@dataclass(frozen=True)
class EvaluationSettings(SharedSettings, *settings_in("genarena.evaluation.evidence")):
    """The options `evaluation.*`: the fields of `SharedSettings`, and of the settings in the files of
    `genarena.evaluation.evidence`. Raises ValueError, with the option's name, for a value that is out of range."""

    def of(self, part: type) -> dict[str, Any]:
        """The fields of one part, JSON-able, without `split` and `features` (its paths differ from machine to machine)."""
        names = [item.name for item in fields(part) if item.name not in ("features", "split")]
        values = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
