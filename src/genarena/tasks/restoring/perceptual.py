"""LPIPS, a distance of images in the features of a network that was trained on ImageNet (Zhang, Isola, Efros, Shechtman & Wang
2018, arXiv 1801.03924, equation 1): at each of five layers features are divided by their norm over channels, and

    d(x, x') = sum_l mean_hw sum_c w_lc (f_lc(x) - f_lc(x'))^2

with the weights w of the authors' version 0.1, which come with torchmetrics. Those of the network come from a file, and nothing
is downloaded: a `state_dict` of torchvision's `alexnet` or `vgg16`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _LPIPS

from genarena.evaluation.weights import sha256
from genarena.tasks.restoring.images import to_8_bit
from genarena.tasks.restoring.records import Score, Scores

SMALLEST = 32  # pixels of a side: below, the last layers see nothing, and ImageNet's features mean little
AT_ONCE = 16  # images


@dataclass(frozen=True)
class Perceptual:
    """LPIPS with `networks`: `alex`, `vgg` or both, each with the file of its weights.

    Raises ValueError, with the option of a task, for a file that is missing, or that has other weights.
    """

    networks: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, path in self.networks.items():
            if not Path(path).is_file():
                raise ValueError(f"lpips_{name}={path}: there is no such file")

    @property
    def digests(self) -> dict[str, str]:
        """Network to the sha256 of its file."""
        return {name: sha256(Path(path)) for name, path in self.networks.items()}

    def check(self, shape: tuple[int, ...]) -> None:
        """Read the files. Raises ValueError, also for images of another shape than (1 or 3, H, W), sides of at least 32."""
        for name in self.networks:
            if shape[0] not in (1, 3) or min(shape[1:]) < SMALLEST:
                allowed = f"grey or RGB images of at least {SMALLEST} x {SMALLEST} pixels"
                raise ValueError(f"lpips_{name}: needs {allowed}, and these have the shape {tuple(shape)}")
            self.network(name)

    def scores(self, x: Tensor, truth: Tensor) -> Scores:
        """Of restorations (N, C, H, W) in [0, 1], not clamped: clamped and rounded to 8 bit first."""
        x = to_8_bit(x)
        return {
            f"lpips_{name}": Score(lpips(self.network(name), x, truth), facts={"weights": digest})
            for name, digest in self.digests.items()
        }

    def network(self, name: str) -> nn.Module:
        return _network(name, Path(self.networks[name]), self.digests[name])


def lpips(network: nn.Module, x: Tensor, reference: Tensor) -> Tensor:
    """(N,) float64 distances of images (N, 1 or 3, H, W) in [0, 1]; the network takes RGB in [-1, 1]."""
    pairs = zip(x.split(AT_ONCE), reference.split(AT_ONCE), strict=True)
    with torch.no_grad():
        parts = [network(*(2.0 * part.float().expand(-1, 3, -1, -1) - 1.0 for part in pair)) for pair in pairs]
    return torch.cat(parts).flatten().double()


@lru_cache(2)
def _network(name: str, path: Path, digest: str) -> nn.Module:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        found["features.0.weight"]  # before the network is made
        with torch.random.fork_rng(devices=[]):  # it draws initial weights, all of which are replaced
            network = _LPIPS(net=name, pnet_rand=True)
        # slice2.3.weight is features.3.weight of torchvision
        own = {key: found["features." + key.partition(".")[2]] for key in network.net.state_dict()}
        network.net.load_state_dict(own)
    except Exception as error:  # any error means: not these weights
        reason = f"no {error.args[0]}" if isinstance(error, KeyError) else type(error).__name__
        raise ValueError(f"lpips_{name}={path}: does not hold the weights of torchvision's {name}: {reason}") from error
    return network
