"""Restoration from any of the degradations: denoising, inpainting, super-resolution, deblurring, colorization."""

from collections.abc import Sequence
from dataclasses import dataclass

from genarena.spec import DataSpec
from genarena.tasks.linear.degradations import degradation, names
from genarena.tasks.restoration import Restoration


@dataclass(frozen=True)
class Restore(Restoration):
    """degradations: names (`linear/degradations.py`), a case each; empty: all of the list that fit the data. The other options
    are those of `Restoration`."""

    degradations: Sequence[str] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        found = tuple(degradation(name).name for name in self.degradations)
        if len(set(found)) < len(found):
            raise ValueError(f"degradations={list(self.degradations)}: expected different names")
        object.__setattr__(self, "degradations", found)

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(self.degradations) or names(spec)
