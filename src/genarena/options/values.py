"""Named types for the options of constructors, such as `latent_dim: Count`. Nothing here imports torch.

The command line reads these types from the source before heavy imports; `build` checks the same types when it makes the
object.
"""

import math
import os
import re
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from inspect import isclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from genarena.errors import UserError


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; `positive`: above zero."""

    low: float = -math.inf
    high: float = math.inf
    positive: bool = False

    @property
    def words(self) -> str:
        if self.positive:
            return "above 0"
        return f"at least {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:.10g}"

    def refusal(self, value: float) -> str:
        """A description of the range; "" if `value` is in it."""
        if not math.isfinite(value):
            return "a finite number"
        if self.positive:
            return "" if value > 0 else "a positive number"
        if self.low <= value <= self.high:
            return ""
        return self.words


@dataclass(frozen=True)
class Form:
    """Texts that match a regular expression; `expected` says it in words."""

    pattern: str
    expected: str

    def refusal(self, value: str) -> str:
        """What is expected instead of `value`; "" where it matches."""
        return "" if re.fullmatch(self.pattern, value) else self.expected


@dataclass(frozen=True)
class Place:
    """A path. words: values that are no path; address: it may be a URL; below: it may be relative to `data.root`."""

    words: tuple[str, ...] = ()
    address: bool = False
    below: bool = False

    def read(self, text: str) -> str:
        """`text` as a path: `~` is expanded, and a relative path becomes absolute. Raises UserError for an invalid path."""
        if not text.strip():
            raise UserError("expected a path, and it is empty")
        if "${" in text or not text.isprintable():
            raise UserError("a path cannot hold ${ or characters that cannot be printed")
        if text in self.words or (self.address and "://" in text):
            return text
        return os.path.expanduser(text) if self.below else absolute(text)


def absolute(text: str) -> str:
    """The absolute path of `text`, with `~` expanded; links are not followed."""
    return str(Path(os.path.expanduser(text)).absolute())


def from_environment(variable: str) -> Path | None:
    """The path in an environment variable; None if it is not set or blank."""
    text = os.environ.get(variable, "")
    return Path(absolute(text)) if text.strip() else None


Count = Annotated[int, Range(1)]
Several = Annotated[int, Range(2)]
FewDraws = Annotated[int, Range(2, 10)]
Whole = Annotated[int, Range(0)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Positive = Annotated[float, Range(positive=True)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
Folder = Annotated[str, Place()]
FolderOrAddress = Annotated[str, Place(address=True)]
BelowRoot = Annotated[str, Place(address=True, below=True)]
Project = Annotated[str, Form(r"([^/\\#?%:]+/)?[^/\\#?%:]+", "<project> or <entity>/<project>, without \\ # ? % :")]
Device = Annotated[str, Form(r"cpu|mps|cuda(:\d+)?", "cpu, cuda, cuda:<number> or mps")]
Weights = Annotated[str, Place(words=("download",))]


class Unknown(type):
    """Metaclass of `Something`: attributes and subscripts of an unreadable type, as in `Callable[..., X]`, are unreadable."""

    def __getattr__(cls, name: str) -> "Unknown":
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: object) -> "Unknown":
        return cls


class Something(metaclass=Unknown):
    """A type that cannot be read from the source, such as `torch.Tensor`. Any value may fit it."""


# -- checks ------------------------------------------------------------------------------------------------------------

SCALARS = {int: "int", float: "float", str: "str", bool: "bool", type(None): "null"}


def alternatives(kind: Any) -> list[Any]:
    """The members of a union; [kind] for any other type."""
    return [part for arg in get_args(kind) for part in alternatives(arg)] if _is_union(kind) else [kind]


def place_of(kind: Any) -> Place | None:
    """The `Place` of a type that is a path (`Folder`, `Folder | None`); None for other types."""
    marks = [mark for part in alternatives(kind) for mark in getattr(part, "__metadata__", ())]
    return next((mark for mark in marks if isinstance(mark, Place)), None)


def is_known(kind: Any) -> bool:
    """Whether every alternative is a scalar type, with or without a range, a literal, or a list of such, so that values can be
    checked."""
    return all(_is_scalar(part) or (_is_list(part) and is_known(get_args(part)[0])) for part in alternatives(kind))


def _is_scalar(kind: Any) -> bool:
    return get_origin(kind) in (Annotated, Literal) or (isclass(kind) and kind in SCALARS)


def _is_list(kind: Any) -> bool:
    """Whether it is a list of any length: `list[int]`, `Sequence[int]` or `tuple[int, ...]`."""
    return get_origin(kind) in (list, Sequence) or (get_origin(kind) is tuple and get_args(kind)[1:] == (...,))


def refusal(value: Any, kind: Any) -> str:
    """A description of what is expected; "" if `value` fits the type, or the type cannot be checked."""
    known = [part for part in alternatives(kind) if is_known(part)]
    reasons = [_refusal(value, part) for part in known]
    if not known or len(known) < len(alternatives(kind)) or "" in reasons:
        return ""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    only_lists = all(_is_list(part) or part is type(None) for part in known)
    ranges = [
        reason
        for reason, part in zip(reasons, known, strict=True)
        if (is_list or only_lists if _is_list(part) else _fits(value, base_of(part)))
    ]
    if ranges:
        return ranges[0]
    return " or ".join(dict.fromkeys(_name(part) for part in known))


def _refusal(value: Any, kind: Any) -> str:
    if _is_list(kind):
        if isinstance(value, str) or not isinstance(value, Sequence):
            return _name(kind)
        wrong = next((said for item in value if (said := refusal(item, get_args(kind)[0]))), "")
        return f"a list, each of its values {wrong}" if wrong else ""
    if get_origin(kind) is Literal:
        return "" if value in get_args(kind) else _name(kind)
    if not _fits(value, base_of(kind)):
        return _name(kind)
    marks = getattr(kind, "__metadata__", ())
    return next((said for mark in marks if isinstance(mark, Range | Form) and (said := mark.refusal(value))), "")


def _fits(value: Any, base: Any) -> bool:
    if base is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if base is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return base in SCALARS and isinstance(value, base)


def base_of(kind: Any) -> Any:
    """The type without its range or form: int for `Count`."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def described(kind: Any) -> str:
    """A type in words, e.g. "int, at least 1" or "center, half or random"; "" if it cannot be read from the source."""
    return " or ".join(filter(None, map(_described, alternatives(kind))))


def _described(kind: Any) -> str:
    if not is_known(kind):
        return ""
    if _is_list(kind):
        return f"list of {described(get_args(kind)[0])}"
    if get_origin(kind) is Literal:
        *others, last = map(str, get_args(kind))
        return f"{', '.join(others)} or {last}" if others else last
    marks = [mark.expected for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, Form)]
    marks += [mark.words for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, Range)]
    return ", ".join(filter(None, [_name(kind), *marks]))


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join("null" if value is None else str(value) for value in get_args(kind))
    if _is_list(kind):
        return "a list"
    return SCALARS.get(base_of(kind), str(kind))


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


# -- at run time -------------------------------------------------------------------------------------------------------


@lru_cache
def hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Option -> type of a class or function; {} if its annotations cannot be resolved."""
    own_init = isclass(target) and not is_dataclass(target)
    try:
        found = get_type_hints(target.__init__ if own_init else target, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}
    return {name: kind for name, kind in found.items() if get_origin(kind) is not ClassVar and name != "return"}


def check(target: Callable[..., Any], options: dict[str, Any], what: str) -> None:
    """Raise ValueError, with what is allowed, for an option of the wrong type or out of its range."""
    for name, kind in hints(target).items():
        if name in options and (expected := refusal(options[name], kind)):
            raise ValueError(f"{what}.{name}={options[name]}: expected {expected}")


def check_fields(settings: Any, what: str) -> None:
    """`check` the fields of a dataclass instance."""
    check(type(settings), vars(settings), what)
