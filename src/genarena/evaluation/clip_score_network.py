"""A CLIP that reads pictures and texts (Radford et al. 2021, arXiv 2103.00020), by open_clip, with weights from a file.

Nothing is downloaded: an architecture whose tokenizer or text encoder open_clip would fetch is refused.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from genarena.evaluation.backbones import ROWS, Backbone
from genarena.evaluation.weights import FeatureSettings
from genarena.files.progress import Bars
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec


class PictureTextCLIP(Backbone):
    """Unit vectors of pictures, prepared as open_clip does for this architecture, and of texts.

    Raises Unavailable also for an architecture that open_clip does not have or cannot make offline, and without open_clip.
    """

    name = "clip_score"

    def __init__(self, settings: FeatureSettings, spec: DataSpec, device: torch.device, architecture: str) -> None:
        self.architecture = architecture
        super().__init__(settings, spec, device)

    def load(self, path: Path) -> nn.Module:
        try:
            import open_clip
        except ImportError as error:
            raise Unavailable(f"{self.title} needs open_clip: pip install 'genarena[clip]'") from error
        config = open_clip.get_model_config(self.architecture)
        if config is None:
            raise Unavailable(f"architecture={self.architecture}: open_clip has no such network, e.g. ViT-B-32")
        fetched = {"hf_tokenizer_name", "hf_model_name"} & config["text_cfg"].keys()
        if fetched or "siglip" in self.architecture.lower():
            raise Unavailable(f"architecture={self.architecture}: open_clip would download its tokenizer")
        network = open_clip.create_model(self.architecture, pretrained=str(path), weights_only=True)
        shown = open_clip.transform.PreprocessCfg(**open_clip.get_model_preprocess_cfg(network))
        self.prepare = open_clip.transform.image_transform_v2(shown, is_train=False)
        self.tokenize = open_clip.get_tokenizer(self.architecture)
        return network

    def forward(self, rgb: Tensor) -> tuple[Tensor]:
        images = [Image.fromarray(array) for array in rgb.permute(0, 2, 3, 1).contiguous().numpy()]
        batch = torch.stack([self.prepare(image) for image in images]).to(self.device)
        return (F.normalize(self.network.encode_image(batch), dim=1),)

    def of_texts(self, texts: Sequence[str], bars: Bars) -> Tensor:
        """Unit vectors (N, F) of texts, on the CPU; a text that occurs twice is read once. What is too long is cut off."""
        distinct = list(dict.fromkeys(texts))
        starts = range(0, len(distinct), ROWS)
        with torch.no_grad():
            found = [
                F.normalize(
                    self.network.encode_text(self.tokenize(distinct[start : start + ROWS]).to(self.device)), dim=1
                )
                for start in bars.track(starts, f"{self.title} texts")
            ]
        number = {text: row for row, text in enumerate(distinct)}
        return torch.cat(found).float().cpu()[[number[text] for text in texts]]

    @property
    def facts(self) -> dict[str, Any]:
        return {"name": self.architecture, "weights": self.digest}
