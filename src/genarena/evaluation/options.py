"""Parts of the evaluation's settings: small frozen dataclasses that check themselves."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """A part of the settings. It checks its own fields in `check`, and whatever is put together of parts is checked whole."""

    def __post_init__(self) -> None:
        for part in type(self).__mro__:
            if "check" in vars(part):
                part.check(self)

    def check(self) -> None:
        """Raises ValueError for a field that is out of range."""


def require(settings: Settings, name: str, right: bool, expected: str) -> None:
    if not right:
        raise ValueError(f"evaluation.{name}={getattr(settings, name)}: expected {expected}")


def whole(settings: Settings, *names: str, least: int = 1) -> None:
    for name in names:
        require(settings, name, is_whole(getattr(settings, name), least), f"a whole number of at least {least}")


def positive(settings: Settings, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        require(settings, name, is_number and 0.0 < value < math.inf, "a positive number")


def is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
