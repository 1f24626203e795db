"""A model whose codes are the pixels, on the digits: what it does is known exactly."""

from dataclasses import replace

import torch
from torch import Tensor

from genarena.data.digits import Digits
from genarena.likelihood import Likelihood, from_space, to_space
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Decodes, Emits, Encodes
from genarena.spec import Batch, DataSpec


class Pixels(GenerativeModel, Encodes, Decodes, Emits):
    """z = x in [-1, 1], one vector per image."""

    family, likelihood, paper = "baseline", Likelihood.NONE, ""

    @property
    def latent_dim(self) -> int:
        return self.spec.num_dims

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        return from_space(torch.zeros(num_samples, *self.spec.shape), self.spec)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return to_space(x, self.spec).flatten(1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return from_space(self.emit(z), self.spec)

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return z.unflatten(1, self.spec.shape)


class Shifted(Pixels):
    """p(x | y) of digits: z = x minus the mean image of the class, or of the mixture of classes (N, 10)."""

    conditional = True

    def __init__(self, data: Digits) -> None:
        super().__init__(replace(data.spec, condition="label"))
        unit, y = to_space(data.train.x, data.spec), data.train.y
        self.means = torch.stack([unit[y == label].mean(0) for label in range(10)])

    def _mean(self, y: Tensor) -> Tensor:
        return self.context(y, len(y)) @ self.means.flatten(1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return super().encode(x) - self._mean(y)

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return super().emit(z + self._mean(y))


def digits() -> Digits:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    return data
