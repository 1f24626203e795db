"""Small versions of the models in `conf/model`, for fast tests."""

import re
from functools import partial
from typing import Any

from omegaconf import OmegaConf

from genarena.config import compose
from genarena.nets.by_shape import unet_or_mlp
from tests.first_stages import standing

NARROW = partial(unet_or_mlp, hidden_channels=8)  # a network for models that take one

LARGEST = {  # pattern of an option's name -> largest value; a name has the same meaning in every model
    r"channels|\w+_channels|hidden|hidden_features": 8,
    r"blocks|\w+_blocks|num_heads": 2,
}


def tiny(name: str, *overrides: str, data: str = "digits") -> dict[str, Any]:
    """The configuration of a model with narrower layers and fewer blocks. Other options, also `training`, are unchanged."""
    node = standing(compose([f"model={name}", f"data={data}", *overrides]))
    return narrowed(OmegaConf.to_container(node, resolve=True))


def narrowed(node: dict[str, Any]) -> dict[str, Any]:
    """The node of a model, and of the parts that it is made of, with small sizes; `training` and `spec` are unchanged."""
    for key, value in node.items():
        if isinstance(value, dict) and key not in ("training", "spec"):
            narrowed(value)
        for largest in [size for pattern, size in LARGEST.items() if re.fullmatch(pattern, key)]:
            node[key] = min(value, largest) if isinstance(value, int) else [min(item, largest) for item in value]
    return node
