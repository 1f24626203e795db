"""`config.yaml` of a run folder, which is somebody else's file. No torch here."""

from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from genarena.errors import Untrusted, UserError
from genarena.trust import refuse_foreign, stored_overrides


def load(path: Path) -> dict[str, Any]:
    """The resolved configuration of a run folder. Raises UserError for a broken file, and Untrusted for what genarena never
    writes: interpolations, which may name secrets, YAML's tags and aliases, and targets that are not ours.
    """
    try:
        _refuse_tags(path)
        loaded = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    parts = [loaded.get(key) for key in ("model", "data", "choices")] if isinstance(loaded, dict) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise UserError(f"{path} is not the configuration of a run")
    if "${" in repr(loaded):
        raise Untrusted(f"{path} holds an interpolation, which genarena never writes and does not resolve")
    refuse_foreign(loaded, str(path))
    loaded["choices"]["overrides"] = stored_overrides(loaded["choices"].get("overrides"), str(path))
    return loaded


def _refuse_tags(path: Path) -> None:
    """Raise Untrusted for a YAML file with tags, which may make objects, or aliases, of which a few lines make gigabytes."""
    for token in yaml.scan(path.read_text()):
        if isinstance(token, yaml.TagToken | yaml.AliasToken):
            raise Untrusted(
                f"{path} holds a YAML {type(token).__name__.removesuffix('Token').lower()}, which genarena never writes"
            )
