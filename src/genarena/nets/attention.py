"""Multi-head attention (Vaswani et al. 2017, arXiv 1706.03762), with a choice of arithmetic and a cache for sampling.

Differs from the paper: queries, keys and values have no bias unless it is asked for. One on the keys changes nothing,
because a softmax does not see what is added to all of its inputs. Attention to a text has one more key and value that no text
changes, and its output starts at zero.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Backend = Literal["fused", "math"]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    causal: bool = False,
    backend: Backend = "fused",
    mask: Tensor | None = None,
) -> Tensor:
    """softmax(Q K^T / sqrt(d)) V; query (N, heads, T, d), key and value (N, heads, S, d): (N, heads, T, d).

    causal: position t sees the positions 0 .. t only; T = S. mask: booleans that broadcast to (N, heads, T, S), true where a
        position is seen; not together with `causal`.
    backend: "fused" does not store the T x S weights, and has no forward-mode derivative and no second derivative; "math"
        has both, and is slower.
    """
    if backend == "fused" and query.device.type == "cpu" and query.dtype == torch.bfloat16:
        with torch.autocast("cpu", enabled=False):  # several times faster on a CPU than its own backward pass
            out = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask, is_causal=causal)
        return out.to(query.dtype)
    if backend == "fused":
        return F.scaled_dot_product_attention(query, key, value, mask, is_causal=causal)
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if causal:
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value


class KeyValueCache:
    """Keys and values of the tokens so far. The memory for all `num_tokens` is allocated once and filled in their order; where
    gradients are recorded, which keep what was there, it grows instead."""

    def __init__(self, shape: tuple[int, int, int, int], like: Tensor) -> None:
        """shape: (N, heads, num_tokens, d). like: a tensor of the right type and device."""
        self.keys, self.values, self.filled = like.new_zeros(shape), like.new_zeros(shape), 0

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add a token's key and value (N, heads, 1, d); returns those of all tokens so far, (N, heads, filled, d) each."""
        place = slice(self.filled, self.filled + 1)
        if torch.is_grad_enabled() and key.requires_grad:
            self.keys, self.values = (
                torch.cat([old, new], 2) for old, new in zip(self.filled_parts(), (key, value), strict=True)
            )
        else:
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

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, mask: Tensor | None = None) -> Tensor:
        """With a cache, x (N, 1, features) is the next token, which sees those in the cache and itself. mask: of `attend`."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        if cache is None:
            heads = attend(query, key, value, self.causal, self.backend, mask)
        else:
            heads = attend(query, *cache.append(key, value), backend=self.backend)
        return self.projection(heads.transpose(1, 2).flatten(2))

    def cache(self, num: int, num_tokens: int) -> KeyValueCache:
        """An empty cache for `num` sequences of `num_tokens` tokens."""
        size = self.projection.in_features // self.num_heads
        return KeyValueCache((num, self.num_heads, num_tokens, size), self.projection.weight)


class Text(NamedTuple):
    """Keys and values (N, heads, 1 + S, d) of a text for one layer, and which of them are seen (N, 1, 1, 1 + S)."""

    key: Tensor
    value: Tensor
    seen: Tensor


class TextAttention(nn.Module):
    """Places (N, T, features) look at the states of a text (N, S, state_features): (N, T, features), zero at the start.

    A state of zeros is padding, which no place sees. All places see one more key and value, which are learned: where a
    condition was dropped there is nothing else. Raises ValueError unless the features are a multiple of the heads.
    """

    def __init__(self, features: int, state_features: int, num_heads: int, backend: Backend = "fused") -> None:
        super().__init__()
        if features % num_heads:
            raise ValueError(f"hidden_channels={features}: expected a multiple of num_heads={num_heads}")
        self.num_heads, self.backend = num_heads, backend
        self.query = nn.Linear(features, features, bias=False)
        self.keys = nn.Linear(state_features, 2 * features, bias=False)
        self.nothing = nn.Parameter(torch.randn(2 * features) / features**0.5)
        self.projection = nn.Linear(features, features)
        self.start()

    def start(self) -> None:
        """The output is zero."""
        nn.init.zeros_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def text(self, states: Tensor) -> Text:
        """What places see of the states (N, S, state_features)."""
        nothing = self.nothing.expand(len(states), 1, -1)
        pairs = torch.cat([nothing, self.keys(states)], 1).unflatten(2, (2, self.num_heads, -1))
        seen = F.pad((states != 0.0).any(2), (1, 0), value=True)
        return Text(*pairs.permute(2, 0, 3, 1, 4), seen[:, None, None])

    def forward(self, x: Tensor, text: Text) -> Tensor:
        query = self.query(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
        heads = attend(query, text.key, text.value, backend=self.backend, mask=text.seen)
        return self.projection(heads.transpose(1, 2).flatten(2))


class MapTextAttention(nn.Module):
    """x + attention(norm(x)) of maps (N, C, H, W), whose places look at the states of a text; heads of about 64 channels."""

    def __init__(self, norm: nn.Module, channels: int, state_features: int, backend: Backend = "fused") -> None:
        """norm: of the maps."""
        super().__init__()
        self.norm = norm
        self.attention = TextAttention(channels, state_features, heads_of(channels), backend)

    def forward(self, x: Tensor, states: Tensor) -> Tensor:
        h = self.attention(self.norm(x).flatten(2).mT, self.attention.text(states))
        return x + h.mT.reshape(x.shape)


def heads_of(channels: int, head_channels: int = 64) -> int:
    """The number of heads of at most `head_channels` channels, or more if they do not divide the channels."""
    num_heads = max(1, channels // head_channels)
    while channels % num_heads:
        num_heads -= 1
    return num_heads
