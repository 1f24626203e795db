"""Parts of the evaluation's settings: small frozen dataclasses that check themselves."""

from dataclasses import dataclass

from genarena.options import values


@dataclass(frozen=True)
class Settings:
    """A part of the settings. The types of its fields (`genarena.options.values`) are checked here and on the command line;
    `check` tests what types cannot express. A class that inherits from several parts runs the `check` of each.
    """

    def __post_init__(self) -> None:
        values.check_fields(self, "evaluation")
        for part in type(self).__mro__:
            if "check" in vars(part):
                part.check(self)

    def check(self) -> None:
        """Raise ValueError for a field with a wrong value."""
