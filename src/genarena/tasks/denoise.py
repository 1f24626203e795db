"""Denoising: y = x + sigma n, n ~ N(0, I), with sigma known."""

from collections.abc import Sequence
from dataclasses import dataclass

from genarena.spec import DataSpec
from genarena.tasks.linear.degradations import denoising
from genarena.tasks.restoration import Restoration, checked_sigma


@dataclass(frozen=True)
class Denoise(Restoration):
    """sigma: standard deviations of the noise, in units of [0, 1]; the other options are those of `Restoration`."""

    sigma: Sequence[float] = (0.1, 0.25)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sigma", checked_sigma(self.sigma))

    def cases(self, spec: DataSpec) -> tuple[str, ...]:
        return tuple(denoising(sigma).name for sigma in self.sigma)
