"""A set of three factors, each with a lit pixel in a stretch of its own, and models that read it."""

import torch
from torch import Tensor

from genarena.data.factor_set import FactorSet
from genarena.data.ground_truth import combinations
from genarena.models.capabilities import Decodes, Encodes
from genarena.spec import Batch, DataSpec
from genarena.tasks.disentangling.floors import factors

SIZES = {"first": 2, "second": 3, "third": 4}
WIDTH = 9
GRID = 24


class Lights(FactorSet):
    """Pictures of 1 x 1 x 9; `first` is one of the first two pixels, and so on."""

    name = "lights"
    factor_sizes = SIZES
    held_out = 4, 4
    shape = 1, 1, WIDTH
    num_levels = 2
    label: str = "first"

    def open(self) -> Tensor:
        return torch.arange(GRID)

    def pictures(self, number: Tensor) -> Tensor:
        places = combinations(number, SIZES) + torch.tensor([0, 2, 5])
        return torch.zeros(len(number), WIDTH).scatter(1, places, 1.0).to(torch.uint8)[:, None, None]


def lights(**options: object) -> Lights:
    data = Lights(DataSpec((1, 1, WIDTH), 2, 2), **options)
    data.setup()
    return data


class Reader(Encodes, Decodes):
    """Reads the factors in unit variance, and turns them by a matrix; decoding goes back to the nearest combination."""

    device, family, untrained = torch.device("cpu"), "vae", None

    def to(self, device: torch.device) -> "Reader":
        return self

    def train(self) -> "Reader":
        return self

    eval = train

    def observe(self, batch: Batch) -> None:
        """There is nothing to learn."""

    loss = observe

    def __init__(self, data: Lights, turn: Tensor | None = None) -> None:
        self.spec, self.data, self.seen = data.spec, data, 0
        self.turn = torch.eye(3) if turn is None else turn
        every = combinations(torch.arange(GRID), SIZES)
        self.pictures = data.render(every)
        self.codes = factors(data)(self.pictures, every).float() @ self.turn

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        self.seen += len(x)
        flat, known = x.flatten(1).float(), self.pictures.flatten(1).float()
        return self.codes[torch.cdist(flat, known).argmin(1)]

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.pictures[torch.cdist(z, self.codes).argmin(1)]
