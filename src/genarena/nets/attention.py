"""Multi-head self-attention (Vaswani et al. 2017, arXiv 1706.03762), with a choice of arithmetic and a cache for sampling.

Differs from the paper: queries, keys and values have no bias unless it is asked for. One on the keys changes nothing,
because a softmax does not see what is added to all of its inputs.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Backend = Literal["fused", "math"]


def attend(query: Tensor, key: Tensor, value: Tensor, causal: bool = False, backend: Backend = "fused") -> Tensor:
    """softmax(Q K^T / sqrt(d)) V; query (N, heads, T, d), key and value (N, heads, S, d): (N, heads, T, d).

    causal: position t sees the positions 0 .. t only; T = S.
    backend: "fused" does not store the T x S weights, and has no forward-mode derivative and no second derivative; "math"
        has both, and is slower.
    """
    if backend == "fused":
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    return scores.softmax(-1) @ value


class KeyValueCache:
    """Keys and values of the tokens so far. The memory for all `num_tokens` is allocated once and filled in their order."""

    def __init__(self, shape: tuple[int, int, int, int], like: Tensor) -> None:
        """shape: (N, heads, num_tokens, d). like: a tensor of the right type and device."""
        self.keys, self.values, self.filled = like.new_zeros(shape), like.new_zeros(shape), 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add a token's key and value (N, heads, 1, d); returns those of all tokens so far, (N, heads, filled, d) each."""
        place = slice(self.filled, self.filled + 1)
        self.keys[:, :, place], self.values[:, :, place] = key, value
        self.filled += 1
        return self.filled_parts()

    def filled_parts(self) -> tuple[Tensor, Tensor]:
        """Keys and values of all tokens so far, (N, heads, filled, d) each."""
        return self.keys[:, :, : self.filled], self.values[:, :, : self.filled]


class SelfAttention(nn.Module):
    """(N, T, features) to the same shape. Raises ValueError unless the features are a multiple of the heads."""

    def __init__(
        self, features: int, num_heads: int, causal: bool = False, backend: Backend = "fused", bias: bool = False
    ) -> None:
        """bias: of queries, keys and values."""
        super().__init__()
        if features % num_heads:
            raise ValueError(f"hidden_channels={features}: expected a multiple of num_heads={num_heads}")
        self.num_heads, self.causal, self.backend = num_heads, causal, backend
        self.qkv = nn.Linear(features, 3 * features, bias=bias)
        self.projection = nn.Linear(features, features)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """With a cache, x (N, 1, features) is the next token, which sees those in the cache and itself."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is None:
            heads = attend(query, key, value, self.causal, self.backend)
        else:
            heads = attend(query, *cache.append(key, value), backend=self.backend)
        return self.projection(heads.transpose(1, 2).flatten(2))

    def cache(self, num: int, num_tokens: int) -> KeyValueCache:
        """An empty cache for `num` sequences of `num_tokens` tokens."""
        size = self.projection.in_features // self.num_heads
        return KeyValueCache((num, self.num_heads, num_tokens, size), self.projection.weight)
