"""Pretrained networks whose features metrics use: Inception, DINOv2, CLIP and EfficientNet-Lite0.

Inception is torch-fidelity's network, the one of the original FID (Heusel et al. 2017, arXiv 1706.08500). The two vision
transformers are those of Stein et al. 2023 (arXiv 2306.04675): DINOv2 ViT-L/14 (Oquab et al. 2023, arXiv 2304.07193) and
CLIP ViT-L/14 trained on DataComp-XL (Gadre et al. 2023, arXiv 2304.14108; ordinary GELU, so not OpenAI's weights), the
class token after the last norm, before any projection, on images resized to 224x224. EfficientNet-Lite0 is small, and its
weights come with a package.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genarena.evaluation.efficientnet import NUM_FEATURES, EfficientNetLite0
from genarena.evaluation.weights import PUBLISHED, FeatureSettings, sha256
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

ROWS = 50  # images per forward pass; a constant, so that features do not depend on a batch size
SIDE = 224  # pixels per side of the vision transformers' input


class Backbone(ABC):
    """A network with weights from a file; `features` maps levels (N, 1 or 3, H, W) to float32 rows on the CPU.

    Raises Unavailable if the file is missing or holds other weights, or if the data is no grey or RGB image of levels.
    """

    name: ClassVar[str]  # in `genarena.evaluation.weights.PUBLISHED`
    num_features: ClassVar[int]

    def __init__(self, settings: FeatureSettings, spec: DataSpec, device: torch.device) -> None:
        self.title = PUBLISHED[self.name].title
        if not spec.is_image or not spec.is_discrete:
            raise Unavailable(f"{self.title} takes images of integer levels")
        if spec.shape[0] not in (1, 3):
            raise Unavailable(f"{self.title} takes grey or RGB images, these have {spec.shape[0]} channels")
        path = settings.path(self.name)
        self.num_levels, self.device, self.digest = spec.num_levels, device, sha256(path)
        try:
            self.network = self.load(path).to(device).eval().requires_grad_(False)
        except Unavailable:
            raise
        except Exception as error:  # any error means: not these weights
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Unavailable(f"{path} does not hold the weights of {self.title}: {cause}") from error

    @abstractmethod
    def load(self, path: Path) -> nn.Module:
        """The network with the weights of the file."""

    def features(self, x: Tensor, bars: Bars) -> Tensor:
        """Levels (N, C, H, W) to features (N, F)."""
        return self._outputs(x, bars)[0]

    @abstractmethod
    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """One batch (N, 3, H, W) uint8 on the device; the features come first."""

    def _outputs(self, x: Tensor, bars: Bars) -> tuple[Tensor, ...]:
        outputs = []
        with torch.no_grad(), full_precision(self.device):
            for rows in bars.track(x.split(ROWS), f"{self.title} features"):
                outputs.append([part.float().cpu() for part in self.forward(to_rgb(rows, self.num_levels))])
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `backbone` in the record of a metric on these features; `weights` is the file's sha256."""
        return {
            "weights": self.digest,
            "published": self.digest == PUBLISHED[self.name].sha256,
            "num_features": self.num_features,
        }


class InceptionFeatures(Backbone):
    """The 2048 pool features of torch-fidelity's Inception, and its logits. 0.3 s per image on two CPU cores."""

    name = "inception"
    num_features = 2048

    def load(self, path: Path) -> nn.Module:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        torch.load(path, map_location="cpu", weights_only=True)  # check first: torch-fidelity unpickles everything
        layers = ["2048", "logits_unbiased"]
        network = FeatureExtractorInceptionV3("inception-v3-compat", layers, feature_extractor_weights_path=str(path))
        return network.to(memory_format=torch.channels_last)  # a quarter faster; equal to 1e-6

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(rgb.to(self.device))

    def features_and_logits(self, x: Tensor, bars: Bars) -> tuple[Tensor, Tensor]:
        """Levels (N, C, H, W) to features (N, 2048) and logits (N, 1008). As in the inception score, logits have no bias."""
        return self._outputs(x, bars)

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": "inception-v3-compat", **super().facts, "resizer": "bilinear to 299x299, as TensorFlow 1"}


class Normalisation(NamedTuple):
    """Mean and standard deviation of each colour channel, for values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class VisionTransformer(Backbone):
    """The class token of a timm network. Images are resized to 224x224 by PIL (bicubic, no crop) and normalised."""

    num_features = 1024
    architecture: ClassVar[str]
    normalisation: ClassVar[Normalisation]

    def load(self, path: Path) -> nn.Module:
        try:
            import timm
            from timm.models.vision_transformer import checkpoint_filter_fn
        except ImportError as error:
            raise Unavailable(f"{self.title} needs timm: pip install 'genarena[vit]'") from error
        network = timm.create_model(self.architecture, pretrained=False, num_classes=0, img_size=SIDE)
        weights = self.fitted(_read(path), network)
        network.load_state_dict(checkpoint_filter_fn(weights, network))
        self.library = f"timm {timm.__version__}"
        return network

    def fitted(self, weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """The weights of the file, adapted to a network with 224x224 inputs."""
        return weights

    def forward(self, rgb: Tensor) -> tuple[Tensor]:
        mean, std = (torch.tensor(values)[:, None, None] for values in self.normalisation)
        return (self.network(((resized(rgb) / 255.0 - mean) / std).to(self.device)),)

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "name": self.architecture,
            **super().facts,
            "library": self.library,
            "resizer": f"PIL bicubic to {SIDE}x{SIDE}",
            "normalisation": self.normalisation._asdict(),
        }


class DINOv2Features(VisionTransformer):
    """It was trained on 518x518 pixels; its 37x37 position embeddings are interpolated to 16x16 as in the authors' code."""

    name = "dinov2"
    architecture = "vit_large_patch14_dinov2"
    normalisation = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

    def fitted(self, weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        token, grid = weights["pos_embed"].float().split([1, weights["pos_embed"].shape[1] - 1], dim=1)
        old, new = round(grid.shape[1] ** 0.5), network.patch_embed.grid_size[0]
        if old != new:
            grid = grid.unflatten(1, (old, old)).permute(0, 3, 1, 2)
            scale = (new + 0.1) / old  # the authors' guard against rounding, which also scales the grid a little
            grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic").flatten(2).transpose(1, 2)
        return weights | {"pos_embed": torch.cat([token, grid], dim=1)}


class CLIPFeatures(VisionTransformer):
    """The image encoder of CLIP."""

    name = "clip"
    architecture = "vit_large_patch14_clip_224"
    normalisation = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class EfficientNetFeatures(Backbone):
    """The 1,280 average-pooled features of EfficientNet-Lite0, on images resized to 224x224 by PIL (bicubic, no crop)."""

    name = "efficientnet"
    num_features = NUM_FEATURES
    libraries = ("pillow",)

    def load(self, path: Path) -> nn.Module:
        network = EfficientNetLite0()
        network.load_state_dict(_read(path))
        return network.to(memory_format=torch.channels_last)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        return self.network(((resized(rgb) - 127.0) / 128.0).to(self.device))

    @property
    def facts(self) -> dict[str, Any]:
        resizer = f"PIL bicubic to {SIDE}x{SIDE}"
        return {"name": "efficientnet-lite0", **super().facts, "resizer": resizer, "normalisation": "(x - 127) / 128"}


BACKBONES: dict[str, type[Backbone]] = {
    backbone.name: backbone for backbone in (InceptionFeatures, DINOv2Features, CLIPFeatures, EfficientNetFeatures)
}


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def to_rgb(x: Tensor, num_levels: int) -> Tensor:
    """Levels (N, 1 or 3, H, W) to 8-bit RGB, 0 .. 255; grey is repeated."""
    if num_levels != 256:
        x = (x.float() * (255.0 / (num_levels - 1))).round().to(torch.uint8)
    return x.expand(-1, 3, -1, -1)


def resized(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 to (N, 3, 224, 224) uint8, one image after the other."""
    images = (Image.fromarray(array) for array in rgb.permute(0, 2, 3, 1).contiguous().numpy())
    arrays = [np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """float32 inside this context: no autocast, no TF32 in convolutions (matrix products have none by default)."""
    with torch.autocast(device.type, enabled=False), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
