"""Two sets of points and the balls around the points of each, which reach to the k-th nearest other point of the same set.

Precision, recall, density and coverage are counts of points in such balls (Kynkaanniemi et al. 2019, arXiv 1904.06991; Naeem et
al. 2020, arXiv 2002.09797). They are made together: one list of neighbours per set gives the radii for every k, and one
pass over the pairs of the sets gives all counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from genarena.statistics.neighbours import Counts, crossed, squared_radii

USUAL = (3, 5)  # the k of the four metrics, unless they are given another
PART, MOST_PARTS = 200, 10  # fewest points of a part, if there are enough for two of them; largest number of parts
COMPARISONS = 18  # independent differences between parts, for a standard error that is known to about a sixth


Kept = Callable[[str, Callable[[], Any]], Any]  # (name, make) -> what `make` returns now, or has returned before


def made_now(name: str, make: Callable[[], Any]) -> Any:
    return make()


@dataclass(frozen=True)
class Overlap:
    """For one k. real: balls around the real points, with samples in them. fake: balls around the samples, with real points."""

    real: Counts
    fake: Counts


class Manifolds:
    """`manifolds.of(k)` counts; the counts for the usual k are made together with those for the first k that is asked for."""

    def __init__(
        self,
        real: Tensor,
        fake: Tensor,
        device: torch.device | None = None,
        kept: Kept = made_now,
        counts_kept: Kept = made_now,
    ) -> None:
        """real (N, F), fake (M, F). kept: keeps the radii of the real set. counts_kept: keeps the counts."""
        self.real, self.fake, self.device, self.kept, self.counts_kept = real, fake, device, kept, counts_kept
        self._overlaps: dict[int, Overlap] = {}

    def of(self, k: int) -> Overlap:
        """Raises ValueError unless both sets have more than k points."""
        if k not in self._overlaps:
            fewest = min(len(self.real), len(self.fake))
            usual = [each for each in USUAL if each < fewest and each not in self._overlaps]
            ks = tuple(sorted({k, *usual}))
            counts = self.counts_kept(_named("counts", ks), lambda: self._counts(ks))
            for each, (balls, points, in_fake, of_fake) in zip(ks, counts, strict=True):
                self._overlaps[each] = Overlap(Counts(balls, points), Counts(in_fake, of_fake))
        return self._overlaps[k]

    @cached_property
    def partitions(self) -> list[list["Manifolds"]]:
        """Both sets divided at random into parts of equal size, several times: how far values of parts differ says how far
        those of the whole would differ from another draw of both sets."""
        n = min(len(self.real), len(self.fake))
        parts = min(MOST_PARTS, max(2, n // PART))
        draws, generator = -(-COMPARISONS // (parts - 1)), torch.Generator().manual_seed(0)
        found = []
        for _ in range(draws):
            rows = (torch.randperm(n, generator=generator)[: n // parts * parts].view(parts, -1) for _ in range(2))
            pairs = zip(*rows, strict=True)
            found.append([Manifolds(self.real[real], self.fake[fake], self.device) for real, fake in pairs])
        return found

    def standard_error(self, values: Callable[["Manifolds"], Tensor]) -> float:
        """Of the mean of `values(manifolds)`, for another draw of both sets: the standard deviation of the means of the parts,
        over the root of their number (subsampling; Politis & Romano 1994, doi 10.1214/aos/1176325770). At least that
        of the values if the balls were fixed."""
        means = torch.tensor([[values(part).mean() for part in parts] for parts in self.partitions])
        fixed = values(self)
        return max((means.var(1).mean() / means.shape[1]).sqrt().item(), (fixed.var() / len(fixed)).sqrt().item())

    def _counts(self, ks: tuple[int, ...]) -> list[list[Tensor]]:
        """For each k the four counts of an `Overlap`."""
        real = self.kept(_named("radii", ks), lambda: squared_radii(self.real, ks, self.device))
        radii = [dict(zip(ks, each, strict=True)) for each in (real, squared_radii(self.fake, ks, self.device))]
        sides = crossed(self.real, self.fake, *radii, device=self.device)
        return [[count for side in sides for count in (side[k].balls, side[k].points)] for k in ks]


def _named(what: str, ks: tuple[int, ...]) -> str:
    return f"{what}-{'-'.join(map(str, ks))}"


@dataclass(frozen=True)
class Reference:
    """Real examples in the place of samples: `source` says which ones; without `manifolds`, `reason` says why."""

    manifolds: Manifolds | None
    source: str = ""
    reason: str = ""
