"""Hints for misspelt options."""

import difflib
from collections.abc import Iterable
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from genarena.options.overrides import values
from genarena.options.signatures import parameters


def nearest(word: str, candidates: Iterable[str]) -> str:
    """`; did you mean <the closest candidate>?`, or "" if none is close."""
    candidates = list(candidates)
    others = [name for name in candidates if not word.startswith(f"{name}.")]
    close = difflib.get_close_matches(word, others, 1, 0.85) or [c for c in others if c.lower() == word.lower()]
    if not close:  # perhaps only the last part is right
        close = [c for c in candidates if c.split(".")[-1] == word.split(".")[-1]][:1]
    close = close or difflib.get_close_matches(word, others, 1, 0.65)
    return f"; did you mean {close[0]}?" if close else ""


def misspelt(word: str, keys: Iterable[str]) -> str:
    """` (<key>: there is no such option)` for the first key that is similar to `word`; "" if there is none."""
    return next((f" ({key}: there is no such option)" for key in keys if nearest(key, [word])), "")


def written(value: Any) -> str:
    """The value in the form of a command line."""
    return "null" if value is None else str(value)


def told(error: Exception) -> str:
    """The first line of an error of Hydra or OmegaConf; for an invalid YAML file, its path, the line and the reason."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{mark.name}, line {mark.line + 1}: {error.problem}"
    return str(error).strip().splitlines()[0]


def unresolved(error: Exception, given: Iterable[Override]) -> str:
    """Why OmegaConf cannot resolve a reference from one option to another, in one line.

    given: the options of the command line; the reference may lead into one that was set to null.
    """
    text, source = told(error), getattr(error, "full_key", None)
    empty = [override.key_or_group for override in given if values(override) == [None]]
    if key := next((key for key in empty if f"{key}." in text), None):
        return f"{key}=null: other options refer to it{f', e.g. {source}' if source else ''}"
    return f"these options do not fit together: {text}"


def flat(cfg: DictConfig, prefix: str = "") -> list[str]:
    """All options of a configuration, including those that a YAML leaves to the constructor's default."""
    keys = []
    for key in cfg:
        full = f"{prefix}{key}"
        node = cfg._get_node(key)
        if not str(key).startswith("_"):
            keys.append(full)
        if isinstance(node, DictConfig) and not node._is_interpolation() and not node._is_none():
            keys += flat(node, f"{full}.")
            keys += [f"{full}.{name}" for name in parameters(node.get("_target_")) if name not in node]
    return keys
