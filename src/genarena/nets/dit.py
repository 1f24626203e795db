"""Diffusion transformer with adaLN-Zero (Peebles & Xie 2023, arXiv 2212.09748).

Differs from the paper: the embedding of a condition starts at zero; images that patches do not divide are padded with zeros.
Where a condition has states of words, each block attends to them after its self-attention (as PixArt does: Chen et al. 2023,
arXiv 2310.00426), starting at zero.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genarena.nets.attention import Backend, SelfAttention, TextAttention
from genarena.nets.conditioning import states
from genarena.nets.layers import Layered, numbered
from genarena.nets.patches import fold, patch_of, require_image, unfold
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.options.values import Count, Positive, Share


def positions(rows: int, columns: int, features: int) -> Tensor:
    """(rows * columns, features): half of the features are sinusoids of the column, half of the row."""
    frequencies = 1e4 ** -(torch.arange(features // 4) / (features // 4))
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    phases = [axis.reshape(-1, 1) * frequencies for axis in (column, row)]
    return torch.cat([wave for phase in phases for wave in (phase.sin(), phase.cos())], 1)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return torch.addcmul(shift[:, None], x, 1.0 + scale[:, None])


class DiTBlock(nn.Module):
    """h = x + a_1 attention((1 + s_1) norm(x) + b_1);  h + a_2 mlp((1 + s_2) norm(h) + b_2).

    a, b and s are a linear map of the embedding, which starts at zero: then the block is the identity.
    state_features: of a text, if there is one, that h attends to in between; 0: none.
    """

    def __init__(
        self, features: int, num_heads: int, dropout: float, backend: Backend, state_features: int = 0
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features, eps=1e-6, elementwise_affine=False)
        self.attention = SelfAttention(features, num_heads, backend=backend, bias=True)
        self.mlp = nn.Sequential(nn.Linear(features, 4 * features), nn.GELU("tanh"), nn.Linear(4 * features, features))
        self.dropout = nn.Dropout(dropout)
        self.modulation = nn.Linear(features, 6 * features)
        self.text = TextAttention(features, state_features, num_heads, backend) if state_features else None

    def forward(self, x: Tensor, embedding: Tensor, words: Tensor | None = None) -> Tensor:
        """x (N, T, features), embedding (N, features), states of words (N, L, state_features)."""
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = self.modulation(embedding).chunk(6, 1)
        h = self.dropout(self.attention(_modulated(self.norm(x), shift_1, scale_1)))
        x = torch.addcmul(x, gate_1[:, None], h)
        if self.text is not None:
            x = x + self.text(self.norm(x), self.text.text(words))
        h = self.dropout(self.mlp(_modulated(self.norm(x), shift_2, scale_2)))
        return torch.addcmul(x, gate_2[:, None], h)


class DiT(Layered, nn.Module):
    """(N, in_channels, H, W), t (N,) or (N, num_times), and a context (N, F) -> (N, out_channels, H, W).

    The output is zero before training.
    with_states: the context (N, 1 + L, F) has states of words too, and blocks attend to them. A token is a square of `patch`
    x `patch` pixels; None: 2 for 16 pixels and more, else 1. backend: of the attention; "math" has forward-mode and second
    derivatives. time_scale: the highest frequency of the time's features (`nets/time_embedding.py`).
    Raises ValueError for other data than images, and unless `hidden_channels` is a multiple of `num_heads` and of 4.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 96,
        num_blocks: Count = 4,
        num_heads: Count = 4,
        patch: Count | None = None,
        dropout: Share = 0.0,
        backend: Backend = "fused",
        time_scale: Positive = TIME_SCALE,
    ) -> None:
        super().__init__()
        size = require_image(shape, "dit")
        if hidden_channels % 4:
            raise ValueError(
                f"hidden_channels={hidden_channels}: expected a multiple of 4, for positions in two dimensions"
            )
        self.with_states, self.patch = with_states, patch_of(patch, size)
        patch, self.chosen = self.patch, {"patch": self.patch}
        rows, columns = (math.ceil(side / patch) for side in size)
        self.register_buffer("position", positions(rows, columns, hidden_channels), persistent=False)
        self.stem = nn.Linear(in_channels * patch**2, hidden_channels)
        self.embedding = TimeEmbedding(hidden_channels, 256, context_features, time_scale, num_times=num_times)
        state_features = context_features if with_states else 0
        self.blocks = nn.ModuleList(
            DiTBlock(hidden_channels, num_heads, dropout, backend, state_features) for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(hidden_channels, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(hidden_channels, 2 * hidden_channels)
        self.head = nn.Linear(hidden_channels, out_channels * patch**2)
        self._start()

    def _start(self) -> None:
        """Weights as in the authors' code: Glorot's, 0.02 for the time, and zero for modulations and the head."""
        for layer in self.modules():
            if type(layer) is nn.Linear:  # not the one of the context, which starts at zero
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in self.embedding.layers[0], self.embedding.layers[2]:
            nn.init.normal_(layer.weight, std=0.02)
        for layer in (*(block.modulation for block in self.blocks), self.modulation, self.head):
            nn.init.zeros_(layer.weight)
        for block in self.blocks:
            if block.text is not None:
                block.text.start()

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        patches, embedding = fold(x, self.patch), self.embedding(t, context)
        words = states(context) if self.with_states else None
        h = self.stem(patches.flatten(2).mT) + self.position
        for block in self.blocks:
            h = block(h, embedding, words)
        out = self.head(_modulated(self.norm(h), *self.modulation(embedding).chunk(2, 1)))
        return unfold(out.mT.unflatten(2, patches.shape[2:]), self.patch, x.shape[-2:])

    def layers(self) -> dict[str, nn.Module]:
        return numbered(self.blocks)
