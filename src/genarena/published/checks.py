"""What a check of the numbers says: what was compared with what, and whether it agrees."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Check:
    """`value`, what it was compared with, and the largest difference that is still agreement.

    one_sided: `value` is a bound that must not exceed `reference` by more than the tolerance.
    """

    title: str
    value: float
    against: str
    reference: float
    tolerance: float
    one_sided: bool = False

    @property
    def difference(self) -> float:
        return self.value - self.reference

    @property
    def holds(self) -> bool:
        return self.difference <= self.tolerance if self.one_sided else abs(self.difference) <= self.tolerance

    @property
    def text(self) -> str:
        sign = "<=" if self.one_sided else "="
        return (
            f"{'ok    ' if self.holds else 'WRONG '} {self.title}: {self.value:.10g} {sign} {self.reference:.10g} "
            f"({self.against}), difference {self.difference:.1e}, allowed {self.tolerance:.0e}"
        )


@dataclass(frozen=True)
class Missing:
    """A check that cannot be made here, and what it needs."""

    title: str
    reason: str
    holds: bool = True

    @property
    def text(self) -> str:
        return f"absent  {self.title}: {self.reason}"


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
