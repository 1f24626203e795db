"""Parts of the evaluation's settings: small frozen dataclasses that check themselves."""

from dataclasses import dataclass

from genarena.options import values


@dataclass(frozen=True)
class Settings:
    """A part of the settings. The types of its fields (`genarena.options.values`) say what they may be, here and on the
    command line; `check` says what types cannot. Whatever is put together of parts is checked whole.
    """

    def __post_init__(self) -> None:
        values.check_fields(self, "evaluation")
        for part in type(self).__mro__:
            if "check" in vars(part):
                part.check(self)

    def check(self) -> None:
        """Raises ValueError for fields that do not fit."""
