"""The table of codes: every combination of factors is rendered and encoded once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.ground_truth import GroundTruth, combinations
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Encodes
from genarena.statistics.disentanglement.table import CodeTable
from genarena.tasks.base import Algorithm

AT_ONCE = 1_024  # pictures
MOST_CODES = 128

Coding = Callable[[Tensor, Tensor], Tensor]  # pictures (N, C, H, W) and their factors (N, K) to codes (N, D)


@dataclass(frozen=True)
class Encoder(Algorithm):
    """The model's own `encode`: the posterior mean of a model that infers. A conditional model is given the label."""

    name = "encoder"
    needs = Encodes
    exactness = "exact"

    def coding(self, model: GenerativeModel, data: ArenaDataModule) -> Coding:
        """Raises ValueError for a model with conditions other than labels."""
        condition = model.spec.condition
        if condition is not None and condition.kind != "label":
            raise ValueError(f"the model is conditional on {condition.kind}; expected label, or no condition")

        @torch.no_grad()
        def encode(x: Tensor, factors: Tensor) -> Tensor:
            y = None if condition is None else label_of(data, factors).to(model.device)
            return model.encode(x.to(model.device), y).flatten(1).cpu()

        return encode


def label_of(data: ArenaDataModule, factors: Tensor) -> Tensor:
    """The labels (N,) of combinations (N, K): one of the factors."""
    return factors[:, list(data.factor_sizes).index(data.label)]


def table_of(data: GroundTruth, coding: Coding, scored: Mapping[str, int]) -> CodeTable:
    """The codes of the whole grid. scored: the factors, with their sizes, that the metrics ask for.

    Raises ValueError for codes that are not finite, and for more than `MOST_CODES`.
    """
    sizes = data.factor_sizes
    grid = 1
    for size in sizes.values():
        grid *= size
    parts = []
    for numbers in torch.arange(grid).split(AT_ONCE):
        factors = combinations(numbers, sizes)
        parts.append(coding(data.render(factors), factors).double())
        if parts[0].shape[1] > MOST_CODES:
            raise ValueError(
                f"the model has {parts[0].shape[1]:,} codes; at most {MOST_CODES} can be compared with factors"
            )
    varying = {name: size for name, size in sizes.items() if size > 1}  # one that never changes moves no row
    columns = tuple(list(varying).index(name) for name in scored)
    return CodeTable(torch.cat(parts).numpy(), tuple(varying.values()), columns)
