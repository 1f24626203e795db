"""The options that a sweep searches: ranges and choices, checked before anything starts. Imports no torch."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genarena import config
from genarena.errors import UserError

FIELDS = ("low", "high", "log", "choices")


@dataclass(frozen=True)
class Dimension:
    """One option: from `low` to `high`, or one of `choices`. `key` begins with `+` if no YAML has the option."""

    key: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: Any) -> str:
        """The value of this option in an Optuna trial, as text for a command line. If it has none yet, it is drawn."""
        name = self.key.lstrip("+")
        if self.choices:
            return trial.suggest_categorical(name, self.choices)
        if self.whole:  # a float range would give floats, which these options refuse
            return str(trial.suggest_int(name, self.low, self.high, log=self.log))
        return repr(trial.suggest_float(name, self.low, self.high, log=self.log))


def checked(space: dict[str, dict[str, Any]], fixed: Sequence[str]) -> dict[str, Dimension]:
    """The dimensions that `fixed` does not set. Raises UserError for an option or a value that does not exist."""
    given = {text.lstrip("+").partition("=")[0] for text in fixed}
    left = {key: _dimension(key, node) for key, node in space.items() if key not in given}
    if not left:
        raise UserError("sweep.space: every option of it is given, nothing is left to search")
    tried = [f"{key}={','.join(_values(dimension))}" for key, dimension in left.items()]
    texts = config.check([*fixed, *tried])[len(fixed) :]
    return {
        key: Dimension(**{**vars(dimension), "key": text.partition("=")[0]})
        for (key, dimension), text in zip(left.items(), texts, strict=True)
    }


def _dimension(key: str, node: Any) -> Dimension:
    where = f"sweep.space.{key}"
    if not isinstance(node, dict):
        raise UserError(f"{where}={node}: expected {{low: .., high: .., log: true}} or {{choices: [..]}}")
    for name in node:
        if name not in FIELDS:
            raise UserError(f"{where}.{name}: there is no such option{config.nearest(name, FIELDS)}")
    if "choices" in node:
        if len(node) > 1 or not isinstance(node["choices"], list) or len(node["choices"]) < 2:
            raise UserError(f"{where}: choices are a list of at least two, without low and high")
        return Dimension(key, choices=tuple(_text(value) for value in node["choices"]))
    low, high, log = node.get("low"), node.get("high"), node.get("log", False)
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)) or not low < high:
        raise UserError(f"{where}: low={low}, high={high}: expected numbers, low below high")
    if not isinstance(log, bool) or (log and low <= 0):
        raise UserError(f"{where}: log={log}: expected true or false, and true for positive numbers only")
    return Dimension(key, low, high, log)


def _values(dimension: Dimension) -> tuple[str, ...]:
    return dimension.choices or (str(dimension.low), str(dimension.high))


def _text(value: Any) -> str:
    """The value as text for a command line."""
    return value if isinstance(value, str) else json.dumps(value)
