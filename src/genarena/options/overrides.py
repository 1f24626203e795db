"""Options on a command line: `key=value` in Hydra's grammar, and paths, which are taken literally."""

import os
import re
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from genarena.errors import UserError
from genarena.options.groups import GROUPS
from genarena.options.values import Place, place_of


def key_of(text: str) -> str:
    """The key of an override, without Hydra's `+` and `~`."""
    return text.lstrip("+~").partition("=")[0]


def parse(text: str) -> Override:
    """Parse an override. Raises UserError, which tells how lists and texts are written; and for a key that is derived."""
    refuse_derived(key_of(text))
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException as error:
        quoted = f"\"{key_of(text)}='...'\""
        raise UserError(f"{text}: cannot be read: a list is written [a,b], any text in quotes: {quoted}") from error


def values(override: Override) -> list[Any]:
    """The values of an override: all values of a sweep, or a single one."""
    if override.is_sweep_override():
        return [_plain(parse(f"k={value}").value()) for value in override.sweep_string_iterator()]
    return [_plain(override.value())]


def _plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def written(key: str, text: str | os.PathLike) -> str:
    """`key=text`, in quotes if needed, so that Hydra reads exactly this text as a string."""
    text = str(text)
    if (
        re.fullmatch(r"[A-Za-z0-9_./+-]+", text) and parse(f"{key}={text}").value() == text
    ):  # `null` and 1e3 would not stay text
        return f"{key}={text}"
    return f"{key}={_quoted(text)}"


def literal_path(text: str, place: Place) -> str:
    """An override whose value is a path: all text after `=` is the path, whatever its characters. Raises UserError.

    Quotes around the whole value are removed; Hydra and `written` add them. Several quoted paths with commas between them
    are a sweep over folders.
    """
    key, _, value = text.partition("=")
    try:
        paths = [place.read(path) for path in _unquoted(value)]
    except UserError as error:
        raise UserError(f"{text}: {error}") from error
    quoted = [written(key, path) for path in paths]
    return ",".join([quoted[0], *(item.partition("=")[2] for item in quoted[1:])])


def path_in(text: str, place: Place) -> str:
    """The path in `key=<path>`. Raises UserError."""
    (value,) = values(parse(literal_path(text, place))) or [""]
    return value


def _unquoted(value: str) -> list[str]:
    if value[:1] in ("'", '"') and value[-1:] == value[:1]:
        try:
            parsed = OverridesParser.create().parse_override(f"k={value}")._value  # `value()` loses the quotes
        except HydraException:
            return [value]
        parts = parsed.list if isinstance(parsed, ChoiceSweep) else [parsed]
        if all(isinstance(part, QuotedString) for part in parts):
            return [part.text for part in parts]
    return [value]


OF_THE_LINE = {key: place for key, kind in GROUPS[""].items() if (place := place_of(kind))}  # resume, runs_dir


def refuse_derived(key: str) -> None:
    """Raise UserError for a key that follows from another option, which has to be set instead."""
    if key.startswith("data.spec.condition"):
        raise UserError(
            f"{key}: say data.condition=label, data.condition=attributes, data.condition=caption or data.condition=mel"
        )


def in_grammar(value: Any) -> str:
    """A value in the syntax of Hydra's command line. Texts inside of lists and mappings stay texts, also `3` and `null`."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_inside, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_inside(part)}' for key, part in value.items())}}}"
    text = str(value)
    return _quoted(text) if isinstance(value, str) and not re.fullmatch(r"[\w./+-]+", text) else text


def _inside(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else in_grammar(value)


def _quoted(text: str) -> str:
    return QuotedString(text=text, quote=Quote.single).with_quotes()
