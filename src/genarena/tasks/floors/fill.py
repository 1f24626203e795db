"""The pseudo-inverse A^+ y; what a mask hides is the mean training image."""

import torch
from torch import Tensor

from genarena.tasks.floors.base import Floor
from genarena.tasks.linear.convolution import CUTOFF
from genarena.tasks.linear.problem import Problem


class Fill(Floor):
    """m + A^+ (y - A m), m the mean training image: what is observed as it is, the rest from the mean."""

    name = "fill"
    settings = {"cutoff": CUTOFF}

    def restore(self, problem: Problem, strength: float) -> Tensor:
        mean = self.train.mean(0, keepdim=True).to(torch.float64)
        return mean + problem.operator.pseudo_inverse(problem.y - problem.operator(mean))
