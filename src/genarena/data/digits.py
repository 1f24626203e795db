"""Handwritten digits of scikit-learn: 1,797 images of 8x8 with 17 levels (Alpaydin & Kaynak 1998, UCI). No download."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.data.splitting import seeded_split

FILE = Path("datasets", "data", "digits.csv.gz")  # in scikit-learn; to import the package would take half a second


class Digits(ArenaDataModule):
    """1,257 training, 180 validation and 360 test images, drawn with a fixed seed."""

    name = "digits"

    def load(self) -> tuple[Split, Split, Split]:
        with gzip.open(Path(find_spec("sklearn").origin).parent / FILE, "rt") as file:
            table = torch.from_numpy(np.loadtxt(file, np.uint8, delimiter=","))  # 64 levels and the label per line
        images = table[:, :-1].reshape(-1, 1, 8, 8).contiguous()
        return seeded_split(Split(images, table[:, -1].long()), val=180, test=360)
