"""SVHN (Netzer et al. 2011): 32x32 crops of house numbers, format 2, with 256 levels. For non-commercial use."""

import numpy as np
import torch

from genarena.data.batches import Split
from genarena.data.published_set import PublishedSet
from genarena.errors import DataError
from genarena.files.download import Published

ADDRESS = "http://ufldl.stanford.edu/housenumbers"


class SVHN(PublishedSet):
    """65,932 training, 7,325 validation (the last tenth of the official training file) and 26,032 test images."""

    name = "svhn"
    place = "svhn"
    page = ADDRESS
    files = (
        Published(
            "train_32x32.mat",
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            f"{ADDRESS}/train_32x32.mat",
            182_040_794,
        ),
        Published(
            "test_32x32.mat",
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            f"{ADDRESS}/test_32x32.mat",
            64_275_384,
        ),
    )

    flip: bool = False

    def load(self) -> tuple[Split, Split, Split]:
        train, test = (self._read(published) for published in self.files)
        num_val = train.size // 10
        return train[:-num_val], train[-num_val:], test

    def _read(self, published: Published) -> Split:
        """MATLAB 5 file: X (32, 32, 3, N), y (N, 1), 10 for the digit 0. Only files with the published hash are parsed."""
        from scipy.io import loadmat

        path = self.obtain(published)
        content = loadmat(path, variable_names=["X", "y"])
        if content["X"].shape[:3] != (32, 32, 3):
            raise DataError(f"{path}: images have shape {content['X'].shape[:3]}, expected (32, 32, 3)")
        images = torch.from_numpy(np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1)))
        return Split(images, torch.from_numpy(content["y"].astype(np.int64).reshape(-1)) % 10)
