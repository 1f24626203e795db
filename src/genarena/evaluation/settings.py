"""How much is measured, and how: the settings that every kind of evidence heeds, and those of each kind."""

from dataclasses import dataclass, fields
from typing import Any

from genarena.evaluation.evidence.base import settings_in
from genarena.evaluation.subject import SharedSettings


@dataclass(frozen=True)
class EvaluationSettings(SharedSettings, *settings_in("genarena.evaluation.evidence")):
    """The options `evaluation.*`: fields of `SharedSettings`, and of the settings that stand in the files of
    `genarena.evaluation.evidence`. Raises ValueError, with the option's name, for one that is out of range."""

    def of(self, part: type) -> dict[str, Any]:
        """The fields of one part, JSON-able; without `features`, whose paths differ from machine to machine, and `split`."""
        names = [item.name for item in fields(part) if item.name not in ("features", "split")]
        values = {name: getattr(self, name) for name in names}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
