"""Reads `config.yaml` of a run folder, which may come from somebody else. Imports no torch.

Its size, nesting depth and numbers are limited before it is used, so that a foreign file cannot exhaust time or memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError
from yaml.reader import ReaderError

from genarena.errors import Untrusted, UserError
from genarena.files import foreign
from genarena.startup import fast_yaml
from genarena.trust import refuse_foreign, stored_overrides

SIZE = 100_000  # bytes; usually about five thousand
DEPTH = 30  # levels of nested lists and mappings
# largest whole number in each part of a configuration
LARGEST = {"model": 10**6, "evaluation": 10**7, "evidence": 10**7, "metric": 10**7, "data": 10**9}
OPENS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
CLOSES = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
FOLDERS = "model.first_stage="  # an option whose numbers are the date in the name of a folder
SCANNER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
NUMBER = re.compile(r"(?<![\w.])[\d_]+(?![\w.])")  # a whole number in an option

fast_yaml.install()


def load(path: Path) -> dict[str, Any]:
    """The resolved configuration of a run folder.

    Raises UserError for a broken file. Raises Untrusted for a link out of the folder; for a file that is no text, is too large,
    is nested too deeply or contains too large numbers; and for content that genarena never writes: interpolations (they may
    name secrets), YAML tags and aliases, and targets that are not allowed.
    """
    try:
        text = foreign.read(path, SIZE).decode()
        _check_tokens(text, path)
        loaded = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except (UnicodeDecodeError, ReaderError) as error:
        raise Untrusted(f"{path} is damaged: it holds bytes that are no text") from error
    except (OSError, YAMLError, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"{path} cannot be read: {(str(error).strip().splitlines() or [''])[0]}") from error
    parts = [loaded.get(key) for key in ("model", "data", "choices")] if isinstance(loaded, dict) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{path} is not the configuration of a run")
    if "${" in repr(loaded):
        raise Untrusted(f"{path} holds an interpolation, which genarena never writes and does not resolve")
    refuse_foreign(loaded, str(path))
    loaded["choices"]["overrides"] = stored_overrides(loaded["choices"].get("overrides"), str(path))
    _check_numbers(loaded, path)
    return loaded


def _check_tokens(text: str, path: Path) -> None:
    """Raise Untrusted for tags (they may create objects), aliases (a few lines may expand to gigabytes) and deep nesting."""
    depth = 0
    for token in yaml.scan(text, SCANNER):
        if isinstance(token, yaml.TagToken | yaml.AliasToken):
            raise Untrusted(
                f"{path} holds a YAML {type(token).__name__.removesuffix('Token').lower()}, which genarena never writes"
            )
        depth += isinstance(token, OPENS) - isinstance(token, CLOSES)
        if depth > DEPTH:
            raise Untrusted(f"{path} is nested deeper than {DEPTH} levels")


def _check_numbers(loaded: dict[str, Any], path: Path) -> None:
    """Raise Untrusted for a whole number above `LARGEST` in a part of the configuration or in an override."""
    for part, largest in LARGEST.items():
        for key, value in _numbers(loaded.get(part), part):
            if abs(value) > largest:
                raise Untrusted(f"{path}: {key}: {value} is more than the {largest:,} that a stored run may ask for")
        for text in loaded["choices"]["overrides"]:
            of_part = text.lstrip("+").startswith(f"{part}.") and not text.lstrip("+").startswith(FOLDERS)
            if of_part and any(int(number.replace("_", "") or 0) > largest for number in NUMBER.findall(text)):
                raise Untrusted(f"{path}: {text}: more than the {largest:,} that a stored run may ask for")


def _numbers(node: Any, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _numbers(value, f"{key}.{name}")
    elif isinstance(node, int):
        yield key, node
