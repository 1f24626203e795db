"""Classifiers trained on labelled images, real or synthetic or both, all by the same number of steps.

The network is that of the domain classifiers (`evaluation/classifier.py`), one of them, without their disturbances. Nothing is
chosen on validation examples: the last weights are used, at the end of a schedule that goes to zero.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.data.batches import Split, seeded_generator
from genarena.evaluation.classifier import DomainClassifier
from genarena.evaluation.disturbing import shifted
from genarena.likelihood import to_unit
from genarena.spec import DataSpec

LR, WEIGHT_DECAY = 4e-3, 0.05  # AdamW, one cycle, as the domain classifiers
ROWS = 500  # images at once where nothing is trained
MIXUP = 0.2  # alpha of the Beta distribution (Zhang et al. 2018, arXiv 1710.09412, sec. 3)
SHIFT = 14  # a side over the largest shift: 2 pixels of 28

Change = Callable[
    [Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]
]  # of a batch: images, and shares of its classes


@dataclass(frozen=True)
class Budget:
    """steps of the optimiser, each on `batch_size` images; the same for every classifier."""

    steps: int
    batch_size: int


@dataclass(frozen=True)
class Trained:
    """steps: those taken."""

    network: DomainClassifier
    steps: int
    num_levels: int

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Of the classes, (N, K), of levels (N, C, H, W)."""
        parts = [self.network(to_unit(part, self.num_levels)).softmax(1) for part in x.split(ROWS)]
        return torch.cat(parts)


def train(spec: DataSpec, sets: Sequence[Split], budget: Budget, seed: int, change: Change | None = None) -> Trained:
    """A classifier whose batches take equal shares of all sets.

    seed: of the first weights, of the order, and of `change`, which alters a batch (N, C, H, W) in [-1, 1] and its targets
        (N, K).
    """
    steps = 0
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        network = DomainClassifier(spec).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, budget.steps)
        shares = [len(part) for part in torch.arange(budget.batch_size).tensor_split(len(sets))]
        orders = [_order(part.size, share, seed, k) for k, (part, share) in enumerate(zip(sets, shares, strict=True))]
        generator = seeded_generator(seed, 0, "changes")
        for _ in range(budget.steps):
            chosen = [part[next(order)] for part, order in zip(sets, orders, strict=True)]
            unit = to_unit(torch.cat([part.x for part in chosen]), spec.num_levels)
            target = F.one_hot(torch.cat([part.y for part in chosen]), spec.num_classes).float()
            unit, target = change(unit, target, generator) if change else (unit, target)
            optimizer.zero_grad()
            F.cross_entropy(network(unit), target).backward()
            optimizer.step()
            cycle.step()
            steps += 1
    return Trained(network.eval().requires_grad_(False), steps, spec.num_levels)


def _order(size: int, share: int, seed: int, number: int) -> Iterator[Tensor]:
    """Rows (share,) of each batch, without end: one permutation of the set after the other."""
    generator, rows = seeded_generator(seed, 1 + number), torch.empty(0, dtype=torch.long)
    while True:
        while len(rows) < share:
            rows = torch.cat([rows, torch.randperm(size, generator=generator)])
        yield rows[:share]
        rows = rows[share:]


# -- classical augmentation --------------------------------------------------------------------------------------------


def shift(unit: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Moves each image by whole pixels, evenly, up to 2 of 28 (at least 1) along both sides."""
    most = [max(1, side // SHIFT) for side in unit.shape[2:]]
    moves = [torch.randint(-each, each + 1, (len(unit),), generator=generator) for each in most]
    return shifted(unit, *moves), target


def flip(unit: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirrors each image, left to right, with probability 1/2."""
    chosen = torch.rand(len(unit), 1, 1, 1, generator=generator) < 0.5
    return torch.where(chosen, unit.flip(-1), unit), target


def mixup(unit: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """w x_i + (1 - w) x_j of images and of targets, w ~ Beta(0.2, 0.2) for each pair (Zhang et al. 2018, arXiv 1710.09412)."""
    parts = torch._standard_gamma(torch.full((2, len(unit)), MIXUP, dtype=torch.float64), generator=generator)
    weight = (parts[0] / parts.sum(0).clamp_min(1e-300)).float()
    other = torch.randperm(len(unit), generator=generator)
    return (
        torch.lerp(unit[other], unit, weight.view(-1, 1, 1, 1)),
        torch.lerp(target[other], target, weight.view(-1, 1)),
    )
