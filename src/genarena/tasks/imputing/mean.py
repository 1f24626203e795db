"""The mean of what is observed of a column."""

import torch
from torch import Tensor

from genarena.tasks.imputing.base import Imputer


class Mean(Imputer):
    name = "mean"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        self.mean = train.nanmean(0)

    def fill(self, x: Tensor) -> Tensor:
        return torch.where(x.isnan(), self.mean, x)
