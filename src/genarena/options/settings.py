"""The base of the settings of a metric, and of a kind of evidence: a small frozen dataclass that checks itself."""

from dataclasses import asdict, dataclass
from typing import Any

from genarena.options import values


@dataclass(frozen=True)
class Settings:
    """Options `metric.<name>.<field>` or `evidence.<kind>.<field>`. The types of the fields (`genarena.options.values`) are
    checked here and on the command line; `check` tests what types cannot express. Values must be hashable: a list becomes a
    tuple.
    """

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        values.check_fields(self, type(self).__name__)
        self.check()

    def check(self) -> None:
        """Raise ValueError, which begins with `<field>=<value>`, for a field with a wrong value."""

    @property
    def plain(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
