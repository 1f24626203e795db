"""CIFAR-10 (Krizhevsky 2009): 32x32 colour images with 256 levels, in torchvision's folder layout, checked by its sums."""

from dataclasses import dataclass
from pathlib import Path

import torch

from genarena.data.base import ArenaDataModule, DataError, Split


@dataclass(eq=False, repr=False)
class CIFAR10(ArenaDataModule):
    """45,000 training, 5,000 validation (the last of the official training files) and the official 10,000 test images.

    flip: training images are mirrored with probability 1/2.
    """

    name = "cifar10"
    folder = "cifar-10-batches-py"
    num_val_examples = 5_000

    flip: bool = False

    def load(self) -> tuple[Split, Split, Split]:
        train, test = self._read(train=True), self._read(train=False)
        return train[: -self.num_val_examples], train[-self.num_val_examples :], test

    def _read(self, train: bool) -> Split:
        import torchvision  # slow to import

        there = (Path(self.root) / self.folder).is_dir()
        try:
            files = torchvision.datasets.CIFAR10(self.root, train=train, download=not there)
        except (OSError, RuntimeError) as error:
            if there:
                raise DataError(f"{Path(self.root) / self.folder} is not the whole CIFAR-10 (its checksums differ from the "
                                f"published ones): remove it and try again") from error  # fmt: skip
            raise DataError(f"cifar10 is not in {self.root} and could not be downloaded: unpack cifar-10-python.tar.gz there, "
                            f"or point data.root or GENARENA_DATA at a folder that has {self.folder}") from error  # fmt: skip
        images = torch.from_numpy(files.data).permute(0, 3, 1, 2).contiguous()
        return Split(images, torch.tensor(files.targets, dtype=torch.long))
