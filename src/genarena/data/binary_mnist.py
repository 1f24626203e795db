"""Dynamically binarised MNIST: every training batch draws new pixels, Bernoulli(grey level / 255).

The idea is from Salakhutdinov & Murray 2008; drawing anew each time an image is shown, from Burda et al. 2016 (arXiv
1509.00519). Validation and test images are drawn once, with a fixed seed, so that every model is scored on the same bits.
This is not Larochelle's static binarisation: log-likelihoods on the two differ by about two nats.
"""

from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.mnist import MNIST
from genarena.distributions import bernoulli


class BinaryMNIST(MNIST):
    """Levels 0 and 1. `train` is one fixed draw; training batches are drawn anew from the grey levels."""

    name = "binary_mnist"
    unseen = "draws every showing of a training example anew: there is none to copy"

    def load(self) -> tuple[Split, Split, Split]:
        splits = super().load()
        self._grey = self.cut("train", splits[0])
        generator = torch.Generator().manual_seed(2008)
        return tuple(Split(self.augment(split.x, generator), split.y) for split in splits)

    def load_test(self) -> Split:
        """Its levels are drawn after those of the other splits."""
        return self.load()[2]

    @property
    def seen(self) -> None:
        """None: a training image is drawn anew each time it is shown."""

    @property
    def training_split(self) -> Split:
        return self._grey

    def augment(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return bernoulli(x.float() / 255.0, generator).to(torch.uint8)

    def identity(self) -> dict[str, Any]:
        return {"binarisation": "train: drawn per batch; val, test: one draw with seed 2008"}
