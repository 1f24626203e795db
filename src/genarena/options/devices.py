"""What the options of a trainer allow together, whatever the machine has. No torch here."""

from collections.abc import Mapping
from typing import Any

from genarena.errors import UserError


def check_devices(node: Mapping[str, Any]) -> None:
    """Raise UserError for options of `conf/trainer/<name>.yaml` that cannot be combined."""
    strategy, devices = node["strategy"], node["devices"]
    if strategy and node["accelerator"] == "mps":
        raise UserError("trainer.accelerator=mps: its devices cannot work together; take cpu or gpu")
    if strategy == "fsdp" and node["compile"]:
        raise UserError(
            "trainer.compile=true: not with trainer=fsdp, whose layers are put together while the network runs"
        )
    if strategy is None and devices != 1:
        raise UserError(f"trainer.devices={devices}: this trainer uses one; take trainer=ddp")
    if devices < 1 and devices != -1:
        raise UserError(f"trainer.devices={devices}: expected at least 1, or -1 for all")
