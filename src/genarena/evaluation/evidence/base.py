"""The base of the kinds of evidence, and the functions that find the kinds of this folder."""

import importlib
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import Subject
from genarena.options.settings import Settings
from genarena.spec import DataSpec


def piece(make: Callable) -> Callable:
    """Marks a method of a kind as a piece of evidence. The piece has the method's name; its parameters name other pieces."""
    make.is_piece = True
    return make


class Kind:
    """One kind of evidence. Tensors are on the CPU. A piece that cannot be made raises `Unavailable` with the reason.

    Settings: its options, `evidence.<file>.<field>`, which a metric that uses the kind may have as `metric.<name>.<field>`.
    in_chosen_space: whether it uses features of the network that `features.space` names.
    network: the network whose features it always uses.
    """

    Settings: ClassVar[type[Settings] | None] = None
    in_chosen_space: ClassVar[bool] = False
    network: ClassVar[str | None] = None

    def __init__(self, subject: Subject, settings: Any, get: Callable[[str], Any]) -> None:
        """settings: an object of `Settings`, or None. get: gives another piece by its name, and makes it if necessary."""
        self.subject, self.settings, self.get = subject, settings, get

    @classmethod
    def file(cls) -> str:
        """The name of its file, which is that of its options."""
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def pieces(cls) -> dict[str, list[str]]:
        """Name of each piece -> names of the pieces that it needs."""
        return {
            name: list(inspect.signature(make).parameters)[1:]
            for name, make in inspect.getmembers(cls, inspect.isfunction)
            if getattr(make, "is_piece", False)
        }

    @classmethod
    def asks(cls, piece: str, settings: EvaluationSettings, spec: DataSpec | None) -> list[str]:
        """Names of the pieces that a piece gets by `self.get`, under these settings and for this data. What it gets must not
        depend on options that the piece itself does not depend on."""
        return []

    @classmethod
    def check(cls, settings: Any, spec: DataSpec) -> None:
        """Raise ValueError, which begins with `<field>=<value>`, for settings that do not fit such data."""

    def facts(self, piece: str) -> dict[str, Any]:
        """Facts for the record of a metric that used this piece; JSON-able."""
        return {}


@cache
def kinds() -> list[type[Kind]]:
    """The kind of every file of this folder, by file name. Raises TypeError for a file that does not hold exactly one."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in ("__init__", "base"):
            module = importlib.import_module(f"{__package__}.{path.stem}")
            own = [member for member in vars(module).values() if _is_kind_of(member, module.__name__)]
            if len(own) != 1:
                raise TypeError(f"{path.name} has {len(own)} kinds of evidence, expected one")
            found += own
    return found


def _is_kind_of(member: Any, module: str) -> bool:
    return inspect.isclass(member) and issubclass(member, Kind) and member.__module__ == module


@cache
def kind_of() -> dict[str, type[Kind]]:
    """Name of each piece -> the kind that makes it. Raises TypeError if two kinds have a piece of the same name."""
    owners: dict[str, type[Kind]] = {}
    for kind in kinds():
        for name in kind.pieces():
            if name in owners:
                raise TypeError(f"evidence {name}: made by {owners[name].__name__} and by {kind.__name__}")
            owners[name] = kind
    return owners


def used(names: Any) -> list[type[Kind]]:
    """The kinds that make the pieces `names`, and all pieces that these need."""
    waiting, seen = list(names), {}
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen[name] = kind_of()[name]
            waiting += seen[name].pieces()[name]
    return [kind for kind in kinds() if kind in seen.values()]
