"""Says in every checkpoint under which budget it was made, so that a resumed run can tell when the budget has changed."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback


class Limits(Callback):
    """minutes, examples: the limits of the budget as they were given.

    extended: limits that the run had before, the oldest first, each with `examples_seen` when it was changed.
    """

    def __init__(self, budget: Mapping[str, Any], extended: list[dict[str, Any]]) -> None:
        self.stored = {"minutes": budget["minutes"], "examples": budget["examples"], "extended": extended}

    def state_dict(self) -> dict[str, Any]:
        return self.stored

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The limits that hold are those of the command line; whoever resumes compares them with the stored ones."""
