"""Small versions of the models in `conf/model`, for fast tests."""

import re
from typing import Any

from genarena.config import compose
from tests.first_stages import standing

LARGEST = {  # pattern of an option's name -> largest value; a name has the same meaning in every model
    r"channels|\w+_channels|hidden|hidden_features": 8,
    r"blocks|\w+_blocks|num_heads": 2,
}


def tiny(name: str, *overrides: str, data: str = "digits") -> dict[str, Any]:
    """The configuration of a model with narrower layers and fewer blocks. Other options, also `training`, are unchanged."""
    node = standing(compose([f"model={name}", f"data={data}", *overrides]))
    for key, value in node.items():
        for largest in [size for pattern, size in LARGEST.items() if re.fullmatch(pattern, key)]:
            node[key] = min(value, largest) if isinstance(value, int) else [min(item, largest) for item in value]
    return node
