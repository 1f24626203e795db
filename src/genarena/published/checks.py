"""Results of checks: a computed value, its reference, and whether they agree."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Check:
    """A computed value, a reference, and the tolerance: the largest difference that still counts as agreement.

    against: the source of the reference, as text.
    one_sided: `value` is a lower bound; it may not exceed `reference` by more than the tolerance.
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
    """A check that cannot be made on this machine, and the reason."""

    title: str
    reason: str
    holds: bool = True

    @property
    def text(self) -> str:
        return f"absent  {self.title}: {self.reason}"


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers of this shape, float64; the same at every call with the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
