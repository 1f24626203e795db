"""The number of classes, where only the data itself tells it: subfolders, a column, the labels in shards. No torch here."""

from typing import Any

from genarena.build import build
from genarena.errors import UserError

SPEC = "genarena.spec.DataSpec"


def resolved(cfg: dict[str, Any]) -> dict[str, Any]:
    """The configuration with `num_classes` in every spec of a model that is to be conditional on labels.

    If no YAML and no option says the number, the data set looks for it, before it reads any picture. Raises UserError or
    DataError if there are no classes.
    """
    data = cfg["data"]
    if data.get("condition") != "label" or data["spec"].get("num_classes") is not None:
        return cfg
    found = build(unconditional(data), "data").count_classes()
    if found is None:
        raise UserError(f"data.condition=label: there are no classes in data={cfg['choices']['data']}")
    return cfg | {part: _filled(cfg[part], found) for part in ("data", "model")}


def unconditional(data: dict[str, Any]) -> dict[str, Any]:
    """The node of a data set without the condition of models, which is no part of the data."""
    return data | {"condition": None, "spec": data["spec"] | {"condition": None}}


def _filled(node: Any, num_classes: int) -> Any:
    """The node with the number in each spec that asks for labels and has none."""
    if isinstance(node, list):
        return [_filled(item, num_classes) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _filled(value, num_classes) for key, value in node.items()}
    asks = node.get("_target_") == SPEC and node.get("condition") == "label" and node.get("num_classes") is None
    return node | {"num_classes": num_classes} if asks else node
