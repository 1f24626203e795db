"""Handwritten digits of scikit-learn: 1,797 images of 8x8 with 17 levels (Alpaydin & Kaynak 1998, UCI). No download."""

import numpy as np
import torch
from sklearn.datasets import load_digits

from genarena.data.base import ArenaDataModule, seeded_split
from genarena.data.batches import Split


class Digits(ArenaDataModule):
    """1,257 training, 180 validation and 360 test images, drawn with a fixed seed."""

    name = "digits"

    def load(self) -> tuple[Split, Split, Split]:
        bunch = load_digits()
        images = torch.from_numpy(bunch.images.astype(np.uint8)).unsqueeze(1)
        return seeded_split(Split(images, torch.from_numpy(bunch.target.astype(np.int64))), val=180, test=360)
