"""Any model of `conf/model` in a size that a test can afford."""

import re
from typing import Any

from genarena.config import compose

LARGEST = {  # by the name of an option, which says what it is for every model (DESIGN, Names)
    r"channels|\w+_channels|hidden|hidden_features": 8,
    r"blocks|\w+_blocks": 2,
}


def tiny(name: str, *overrides: str, data: str = "digits") -> dict[str, Any]:
    """The model's node with narrower layers and fewer blocks; all other options, `training` too, are the YAML's own."""
    node = compose([f"model={name}", f"data={data}", *overrides]).model
    for key, value in node.items():
        for largest in [size for pattern, size in LARGEST.items() if re.fullmatch(pattern, key)]:
            node[key] = min(value, largest) if isinstance(value, int) else [min(item, largest) for item in value]
    return node
