"""Whether the caption of a picture is found among captions of other examples."""

from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import Split, seeded_generator
from genarena.evaluation.caption_encoder import RECIPE, CaptionEncoder
from genarena.evaluation.caption_encoder_training import caption_encoder
from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable


class Captions(Kind):
    """R-precision (Xu et al. 2018, arXiv 1711.10485, sec. 4.1): the captions of a picture are its own and those of other test
    examples, different from it and from each other."""

    @piece
    def caption_encoder(self) -> CaptionEncoder:
        """Of this data set, trained once. Raises Unavailable, before any training, for a model without captions."""
        condition = self.subject.data.spec.condition
        if condition is None or condition.kind != "caption":
            raise Unavailable("needs a model that is conditional on captions (data.condition=caption)")
        return caption_encoder(self.subject.data, self.subject.bars)

    @piece
    def fake_found(self, caption_encoder: CaptionEncoder, fake: Tensor, conditions: Tensor) -> Tensor:
        """(N,) bool: of all captions the sample's own is nearest to it."""
        return self._found(caption_encoder, fake, conditions)

    @piece
    def real_found(self, caption_encoder: CaptionEncoder, test: Split) -> Tensor:
        """(M,) bool, of test examples."""
        return self._found(caption_encoder, test.x[:], test.captions[:, 0])

    @piece
    def num_captions(self) -> int:
        """Number of captions of which one is found, 1 / chance."""
        return self._others().shape[0] if self._others().shape[0] < RECIPE["among"] else RECIPE["among"]

    def _others(self) -> Tensor:
        """(M, length) the different captions of the split."""
        return self.subject.held_out.captions[:, 0].unique(dim=0)

    def _found(self, encoder: CaptionEncoder, x: Tensor, own: Tensor) -> Tensor:
        captions = among(own, self._others(), RECIPE["among"])
        return encoder.similarity(x, captions).argmax(1) == 0

    def facts(self, piece: str) -> dict[str, Any]:
        return {"encoder": self.get("caption_encoder").facts} if piece == "caption_encoder" else {}


def among(own: Tensor, others: Tensor, num: int) -> Tensor:
    """(N, num, length): first a picture's own caption (N, length), then others (M, length) that differ from it, drawn per
    picture with a fixed seed. Fewer, if there are fewer."""
    num = min(num, len(others))
    rows = []
    for place, caption in enumerate(own):
        order = torch.randperm(len(others), generator=seeded_generator("captions", place))[:num]
        different = others[order][(others[order] != caption).any(1)][: num - 1]
        rows.append(torch.cat([caption[None], different]))
    return torch.stack([row if len(row) == num else torch.cat([row, row[-1:]]) for row in rows])
