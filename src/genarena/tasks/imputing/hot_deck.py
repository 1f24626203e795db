"""Random hot deck: an observed value of the same column, drawn at random (Andridge & Little 2010, doi
10.1111/j.1751-5823.2010.00103.x, without classes of adjustment). Its estimate is the mean of the column."""

import torch
from torch import Tensor

from genarena.tasks.imputing.base import uniforms
from genarena.tasks.imputing.mean import Mean


class HotDeck(Mean):
    name = "hot_deck"
    paper = "10.1111/j.1751-5823.2010.00103.x"

    def __init__(self, train: Tensor, seed: int = 0) -> None:
        super().__init__(train, seed)
        self.columns, self.seed = [column[~column.isnan()] for column in train.T], seed

    def draws(self, x: Tensor, num: int) -> Tensor:
        u = uniforms(x, num, self.seed, x.shape[1])
        donors = [values[(u[..., d] * len(values)).long()] for d, values in enumerate(self.columns)]
        return torch.where(x.isnan(), torch.stack(donors, -1), x)
