"""Stores the budget in every checkpoint, so that a resumed run knows whether the budget has changed."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback

from genarena.runs.resuming import LIMITS


class Limits(Callback):
    """budget: its limits are stored.

    extended: earlier limits of the run, the oldest first, each with `examples_seen` at the time of the change.
    """

    def __init__(self, budget: Mapping[str, Any], extended: list[dict[str, Any]]) -> None:
        self.stored = {name: budget[name] for name in LIMITS} | {"extended": extended}

    def state_dict(self) -> dict[str, Any]:
        return self.stored

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Ignored: the limits of the command line hold. The code that resumes a run compares them with the stored ones."""
