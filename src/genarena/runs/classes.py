"""What only the data itself tells about conditions: the number of classes, words, characters. No torch here."""

from typing import Any

from genarena.build import build
from genarena.errors import UserError

TEXTS = ("caption", "characters")  # those of genarena.spec, which imports torch
SPEC, CONDITION = "genarena.spec.DataSpec", "genarena.spec.Condition"


def resolved(cfg: dict[str, Any]) -> dict[str, Any]:
    """The configuration with `num_classes`, or the words, in every spec of a model that is to be conditional on them.

    If no YAML and no option says them, the data set looks for them, before it reads any picture. Raises UserError or
    DataError if there are none.
    """
    data = cfg["data"]
    if data.get("condition") == "label" and data["spec"].get("num_classes") is None:
        filled = {"num_classes": _classes(cfg)}
    elif data.get("condition") in TEXTS and data["spec"].get("condition") == data["condition"]:
        filled = {"condition": _text(cfg)}
    else:
        return cfg
    return cfg | {part: _filled(cfg[part], data["condition"], filled) for part in ("data", "model")}


def _classes(cfg: dict[str, Any]) -> int:
    found = count(cfg["data"])
    if found is None:
        raise UserError(f"data.condition=label: there are no classes in data={cfg['choices']['data']}")
    return found


def count(data: dict[str, Any]) -> int | None:
    """The number of classes of the node of a data set: that of its spec, or what the set says, which reads no picture; None if
    there are none. Raises DataError if its files are missing."""
    known = data["spec"].get("num_classes")
    return build(unconditional(data), "data").count_classes() if known is None else known


def _text(cfg: dict[str, Any]) -> dict[str, Any]:
    """The node of the condition."""
    kind, found = cfg["data"]["condition"], build(unconditional(cfg["data"]), "data").vocabulary()
    condition = found.condition(cfg["data"].get("text", "words")) if found else None
    if condition is None or condition.kind != kind:
        held = "captions" if kind == "caption" else "texts that are spoken"
        raise UserError(f"data.condition={kind}: there are no {held} in data={cfg['choices']['data']}")
    return {"_target_": CONDITION} | {name: _plain(value) for name, value in vars(condition).items()}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def unconditional(data: dict[str, Any]) -> dict[str, Any]:
    """The node of a data set without the condition of models, and how they read it, which are no part of the data."""
    plain = {key: value for key, value in data.items() if key != "text"}
    return plain | {"condition": None, "spec": data["spec"] | {"condition": None}}


def _filled(node: Any, kind: str, found: dict[str, Any]) -> Any:
    """The node with what was found in each spec that asks for this kind of condition."""
    if isinstance(node, list):
        return [_filled(item, kind, found) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _filled(value, kind, found) for key, value in node.items()}
    return node | found if node.get("_target_") == SPEC and node.get("condition") == kind else node
