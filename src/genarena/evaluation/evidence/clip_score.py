"""Cosines of pictures and texts under a CLIP."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.captions.vocabulary import Vocabulary
from genarena.evaluation.clip_score_network import PictureTextCLIP
from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.evidence.captions import among
from genarena.metrics.base import Unavailable
from genarena.options.settings import Settings


@dataclass(frozen=True)
class CLIPScoreSettings(Settings):
    """architecture: open_clip's name of the network that the file of weights is of; OpenAI's end in -quickgelu."""

    architecture: str = "ViT-B-32"


class CLIPScoreEvidence(Kind):
    """`genarena.evaluation.clip_score_network`. A caption is the text of its tokens: small letters, no punctuation, `?` for
    a word that the vocabulary has not."""

    Settings = CLIPScoreSettings
    network = "clip_score"

    @piece
    def clip_reader(self) -> PictureTextCLIP:
        """The network. Raises Unavailable, before it is loaded, for a model without captions."""
        subject, condition = self.subject, self.subject.data.spec.condition
        if condition is None or condition.kind != "caption":
            raise Unavailable("needs a model that is conditional on captions (data.condition=caption)")
        return PictureTextCLIP(
            subject.settings.features, subject.data.spec, subject.model.device, self.settings.architecture
        )

    @piece
    def fake_cosines(self, clip_reader: PictureTextCLIP, fake: Tensor, conditions: Tensor) -> Tensor:
        """(N,) of samples and the captions that they were drawn for."""
        return self._cosines(clip_reader, clip_reader.features(fake, self.subject.bars), conditions)

    @piece
    def real_cosines(self, clip_reader: PictureTextCLIP, test: Split) -> Tensor:
        """(2, M) of test examples and their own caption, and of them and another example's, drawn with a fixed seed."""
        own, seen = test.captions[:, 0], clip_reader.features(test.x[:], self.subject.bars)
        other = among(own, self.subject.held_out.captions[:, 0].unique(dim=0), 2)[:, -1]
        return torch.stack([self._cosines(clip_reader, seen, captions) for captions in (own, other)])

    def _cosines(self, reader: PictureTextCLIP, pictures: Tensor, captions: Tensor) -> Tensor:
        words = Vocabulary.of_condition(self.subject.data.spec.condition)
        texts = reader.of_texts([words.decode(caption) for caption in captions], self.subject.bars)
        return (pictures * texts).sum(1)

    def facts(self, piece: str) -> dict[str, Any]:
        return {"backbone": self.get("clip_reader").facts} if piece == "clip_reader" else {}
