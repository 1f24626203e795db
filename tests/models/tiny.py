"""Small versions of the models in `conf/model`, for fast tests."""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from omegaconf import OmegaConf

from genarena.config import compose
from genarena.nets.by_shape import unet_or_mlp
from tests.capability_table import models
from tests.first_stages import standing
from tests.homes import home

NARROW = partial(unet_or_mlp, hidden_channels=8)  # a network for models that take one

LARGEST = {  # pattern of an option's name -> largest value; a name has the same meaning in every model
    r"channels|\w+_channels|hidden|hidden_features": 8,
    r"blocks|\w+_blocks|num_heads": 2,
    r"num_layers": 4,
    r"steps|ais_steps": 20,  # of chains: what is tested with small models is not how good their samples are
}


def tiny(name: str, *overrides: str, data: str | None = None) -> dict[str, Any]:
    """The configuration of a model with narrower layers and fewer blocks. Other options, also `training`, are unchanged. data:
    None: what the model is tried on."""
    own = [f"data={data}"] if data else home(name)
    node = standing(compose([f"model={name}", *own, *overrides]))
    return narrowed(OmegaConf.to_container(node, resolve=True))


def often(names: Iterable[str]) -> list[str | ParameterSet]:
    """Parameters of a test for these models. Variants, whose file begins with another one and names the same class, are tested
    in `make test-slow` only."""
    return [name if name in models() else pytest.param(name, marks=pytest.mark.slow) for name in names]


def narrowed(node: dict[str, Any]) -> dict[str, Any]:
    """The node of a model, and of the parts that it is made of, with small sizes; `training` and `spec` are unchanged."""
    for key, value in node.items():
        if isinstance(value, dict) and key not in ("training", "spec"):
            narrowed(value)
        for largest in [size for pattern, size in LARGEST.items() if re.fullmatch(pattern, key)]:
            node[key] = min(value, largest) if isinstance(value, int) else [min(item, largest) for item in value]
    return node
