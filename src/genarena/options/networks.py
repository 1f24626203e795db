"""Networks by their names in `conf/net`."""

from collections.abc import Mapping
from typing import Any

from genarena.errors import UserError


def refuse_unused(resolved: Mapping[str, Any]) -> None:
    """Raise UserError if a resolved configuration names a network and its model takes none."""
    net, names = resolved.get("net"), resolved["choices"]
    if net and not _holds(resolved["model"], net):
        raise UserError(f"net={names['net']}: model={names['model']} takes no network: leave it out")


def _holds(node: Any, part: Any) -> bool:
    return node == part or (isinstance(node, dict) and any(_holds(value, part) for value in node.values()))
