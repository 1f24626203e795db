"""Inpainting: part of the image is missing, the rest has a little noise."""

from dataclasses import dataclass
from typing import Literal

from genarena.spec import DataSpec
from genarena.tasks.restoration import Restoration


@dataclass(frozen=True)
class Inpaint(Restoration):
    """operator: what is missing: a box in the center, the lower half, or 70% of the pixels at random."""

    operator: Literal["center", "half", "random"] = "center"

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return (f"inpaint_{self.operator}",)
