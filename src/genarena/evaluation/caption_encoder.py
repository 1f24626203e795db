"""Two encoders, of pictures and of captions, that agree on pairs: do samples show what they were asked for?

As the encoders of AttnGAN (Xu et al. 2018, arXiv 1711.10485, sec. 3.2) they are trained once on the training pairs of the data
set itself. Differs from the paper: whole pictures and captions only, no regions; the symmetric loss of CLIP (Radford et al.
2021, arXiv 2103.00020, fig. 3), in which equal captions of a batch all count as right; small networks.
"""

import hashlib
import json
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.evaluation.classifier import ROWS, DomainClassifier
from genarena.likelihood import to_unit
from genarena.spec import DataSpec

RECIPE = {
    "version": 1,
    "num_features": 128,  # of the space that both map to
    "embedding": 64,  # of a word
    "hidden": 96,  # of the recurrent layer, in each direction
    "temperature": 0.07,  # at the start; it is learnt
    "examples": 80_000,  # seen in training, each at most max_epochs times
    "max_epochs": 60,
    "batch_size": 128,
    "optimizer": "AdamW, one cycle",
    "lr": 3e-3,
    "weight_decay": 0.05,
    "dropout": 0.1,  # share of the words of a training caption that are replaced by the unknown word
    "trained": "float64",
    "weights": "float16",
    "among": 100,  # captions of which the right one is to be found
    "seed": 0,
}


def recipe_hash() -> str:
    return hashlib.sha256(json.dumps(RECIPE, sort_keys=True).encode()).hexdigest()[:8]


class CaptionEncoder(nn.Module):
    """Pictures and captions to unit vectors; `scale` times their product is a logit."""

    def __init__(self, spec: DataSpec, num_words: int) -> None:
        super().__init__()
        self.spec, size = spec, RECIPE["num_features"]
        self.picture = DomainClassifier(spec, size)
        self.embedding = nn.Embedding(num_words, RECIPE["embedding"], padding_idx=0)
        self.recurrent = nn.GRU(RECIPE["embedding"], RECIPE["hidden"], batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * RECIPE["hidden"], size)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(RECIPE["temperature"])))

    def of_pictures(self, unit: Tensor) -> Tensor:
        """Values (N, C, H, W) in [-1, 1] to unit vectors (N, F)."""
        return F.normalize(self.picture(unit), dim=1)

    def of_captions(self, tokens: Tensor) -> Tensor:
        """Tokens (N, length) to unit vectors (N, F): the largest state over the words, in both directions."""
        lengths = (tokens != 0).sum(1).clamp_min(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(tokens), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = nn.utils.rnn.pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, padding_value=-math.inf
        )
        return F.normalize(self.head(states.amax(1)), dim=1)

    def loss(self, unit: Tensor, tokens: Tensor) -> Tensor:
        """-log p(caption | picture) - log p(picture | caption), over the batch."""
        logits = self.log_scale.exp() * self.of_pictures(unit) @ self.of_captions(tokens).T
        same = (tokens[:, None] == tokens[None]).all(2).to(logits.dtype)
        target = same / same.sum(1, keepdim=True)
        return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)

    @torch.no_grad()
    def similarity(self, x: Tensor, captions: Tensor) -> Tensor:
        """Cosines (N, K) of levels x (N, C, H, W) and captions (N, K, length) of each, in chunks. A caption that several
        pictures have is read once."""
        distinct, places = captions.flatten(0, 1).unique(dim=0, return_inverse=True)
        texts = torch.cat([self.of_captions(rows) for rows in distinct.split(ROWS)])
        found = []
        for rows, own in zip(x.split(ROWS), places.view(captions.shape[:2]).split(ROWS), strict=True):
            pictures = self.of_pictures(to_unit(rows, self.spec.num_levels))
            found.append((texts[own] * pictures[:, None]).sum(2))
        return torch.cat(found)

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `encoder` in the record of a metric."""
        return {"name": f"caption-encoder-{recipe_hash()}", "weights": self.digest}

    @property
    def digest(self) -> str:
        """A hash of the weights, 8 hex digits."""
        hasher = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            hasher.update(name.encode() + value.numpy().tobytes())
        return hasher.hexdigest()[:8]
