"""Trains the classifiers of a data set: cross-entropy of labels or attributes, on images disturbed by noise, blur and shifts.

A network that has seen no disturbances may react to them in any way: noise may then lie nearer to the data than slightly
blurred images do.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.evaluation.classifier import RECIPE, DomainClassifiers
from genarena.evaluation.classifier_skill import accuracy, probe, skill
from genarena.evaluation.disturbing import disturbed
from genarena.files.progress import Bars
from genarena.likelihood import to_unit


def trained(data: ArenaDataModule, bars: Bars) -> dict[str, Any]:
    """Weights and facts of the classifiers, trained on the training split in float64 on the CPU; the caller's random state does
    not change."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.autocast("cpu", enabled=False):
        torch.manual_seed(RECIPE["seed"])
        classifiers = DomainClassifiers(data.spec).double()
        _fit(classifiers, data, bars)
    _round(classifiers.eval().requires_grad_(False))
    classifiers.float()
    features = classifiers.features(data.train.x[: RECIPE["scale_examples"]])
    classifiers.scale.copy_(_scales(classifiers.blocks(features)).half())
    return {
        "weights": classifiers.state_dict(),
        "accuracy": accuracy(classifiers, data.test, data.train.y),
        "skill": skill(classifiers, data.val, data.train.y),
        "probe": probe(classifiers, data.val),
    }


def _fit(classifiers: DomainClassifiers, data: ArenaDataModule, bars: Bars) -> None:
    x, y = data.train.x, data.train.y
    batch_size = min(RECIPE["batch_size"], len(x))
    seen = min(RECIPE["examples"], RECIPE["max_epochs"] * len(x))
    steps = max(1, round(seen / batch_size))
    optimizer = torch.optim.AdamW(
        classifiers.parameters(), lr=RECIPE["lr"], weight_decay=RECIPE["weight_decay"], fused=True
    )
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE["lr"], steps)
    draws = [seeded_generator(RECIPE["seed"], number) for number in range(RECIPE["members"])]
    batches = _batches(len(x), batch_size)
    for _ in bars.track(range(steps), f"training the classifiers of {data.name}, once", steps):
        index = next(batches)
        optimizer.zero_grad()
        unit, target = to_unit(x[index], data.spec.num_levels), y[index]
        for member, generator in zip(classifiers.members, draws, strict=True):
            loss_of(member(disturbed(unit, generator).double()), target).backward()
        optimizer.step()
        cycle.step()


def loss_of(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of labels (N,); for attributes (N, K), the mean binary cross-entropy."""
    if y.ndim == 1:
        return F.cross_entropy(logits, y)
    return F.binary_cross_entropy_with_logits(logits, y.float())


def _batches(size: int, batch_size: int) -> Iterator[Tensor]:
    """Indices (batch_size,) without end, from one permutation after the other."""
    while True:
        yield from torch.randperm(size).split(batch_size)[: size // batch_size]


def _round(classifiers: DomainClassifiers) -> None:
    """Round weights to half precision, in place. Rounding errors of float64, which differ between machines, vanish."""
    for tensor in classifiers.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


def _scales(blocks: list[Tensor]) -> Tensor:
    """(members,): the root of the mean variance of each member's features (N, F)."""
    return torch.stack([block.double().var(0).mean().clamp_min(1e-12).sqrt().float() for block in blocks])
