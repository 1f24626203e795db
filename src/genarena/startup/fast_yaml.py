"""OmegaConf reads YAML with libyaml, in a fifth of the time that PyYAML's own parser takes.

A configuration is composed of about twenty files, several times before a run starts. Without libyaml, or with an OmegaConf of
another structure, files are read as usual.
"""

import functools

import yaml
from omegaconf import _utils


@functools.cache
def install() -> None:
    """From now on, in this process. A second call does nothing."""
    usual = getattr(_utils, "get_yaml_loader", None)
    if not yaml.__with_libyaml__ or usual is None:
        return
    pure, yaml.SafeLoader = yaml.SafeLoader, yaml.CSafeLoader  # the class that OmegaConf's loader extends
    try:
        loader = usual()
    finally:
        yaml.SafeLoader = pure
    _utils.get_yaml_loader = lambda: loader
