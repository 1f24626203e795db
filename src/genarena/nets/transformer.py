"""Transformer (Vaswani et al. 2017, arXiv 1706.03762) on sequences, causal or not, and on images cut into patches.

Differs from the paper: LayerNorm before each sublayer instead of after it, GELU, learned positions (GPT-2: Radford et al.
2019); the layers that write into the residual stream start smaller, by 1 / sqrt(2 num_blocks); attention to the states of
words, where a condition has some, starts at zero.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genarena.nets.attention import Backend, KeyValueCache, SelfAttention, Text, TextAttention
from genarena.nets.conditioning import linear, states
from genarena.nets.layers import Layered, numbered
from genarena.nets.patches import fold, patch_of, require_image, unfold
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.options.values import Count, Positive, Share


class TransformerBlock(nn.Module):
    """h = x + attention(norm(x));  h + mlp(norm(h)); x (N, T, features). The MLP is four times as wide.

    state_features: of a text, if there is one, that h attends to in between; 0: none.
    """

    def __init__(
        self,
        features: int,
        num_heads: int,
        causal: bool,
        backend: Backend,
        dropout: float,
        gain: float,
        state_features: int = 0,
    ) -> None:
        """gain: factor on the initial weights of the two layers that write into the residual stream."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(features)
        self.attention = SelfAttention(features, num_heads, causal, backend)
        self.mlp_norm = nn.LayerNorm(features)
        self.mlp = nn.Sequential(nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features))
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            for layer in (self.attention.projection, self.mlp[-1]):
                layer.weight.mul_(gain)
                layer.bias.zero_()
        self.text = TextAttention(features, state_features, num_heads, backend) if state_features else None
        self.text_norm = nn.LayerNorm(features) if state_features else None

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, text: Text | None = None) -> Tensor:
        """With a cache, x (N, 1, features) is the next token. text: of `self.text`, if there is one."""
        h = x + self.dropout(self.attention(self.attention_norm(x), cache))
        if self.text is not None:
            h = h + self.dropout(self.text(self.text_norm(h), text))
        return h + self.dropout(self.mlp(self.mlp_norm(h)))


class Transformer(Layered, nn.Module):
    """(N, num_tokens, features), and a context (N, F) or states of words (N, L, G), to (N, num_tokens, features).

    causal: the output at t depends on the inputs 0 .. t only; then `step` gives one output after the other.
    context_features: F; a linear map of the vector of the context is added to every token. state_features: G; every block
        attends to the states. 0: there are none.
    Raises ValueError unless the features are a multiple of the heads.
    """

    def __init__(
        self,
        num_tokens: int,
        features: int,
        num_blocks: int,
        num_heads: int,
        causal: bool = False,
        backend: Backend = "fused",
        dropout: float = 0.0,
        context_features: int = 0,
        state_features: int = 0,
    ) -> None:
        super().__init__()
        self.position = nn.Parameter(0.02 * torch.randn(num_tokens, features))
        self.context = linear(context_features, features)
        gain = 1.0 / math.sqrt(2.0 * num_blocks)
        self.blocks = nn.ModuleList(
            TransformerBlock(features, num_heads, causal, backend, dropout, gain, state_features)
            for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(features)

    def forward(self, x: Tensor, context: Tensor | None = None, words: Tensor | None = None) -> Tensor:
        """words: states (N, L, G)."""
        h = self._placed(x, self.position, context)
        for block, text in zip(self.blocks, self.texts(words), strict=True):
            h = block(h, text=text)
        return self.norm(h)

    def texts(self, words: Tensor | None) -> list[Text | None]:
        """What each block sees of the states (N, L, G) of words; for `step`."""
        return [None if block.text is None else block.text.text(words) for block in self.blocks]

    def caches(self, num: int) -> list[KeyValueCache]:
        """Empty caches of all blocks, for `num` sequences and `step`."""
        return [block.attention.cache(num, len(self.position)) for block in self.blocks]

    def step(self, x: Tensor, caches: list[KeyValueCache], context: Tensor | None, texts: list[Text | None]) -> Tensor:
        """The output (N, features) at the next position from its input x (N, features); causal only."""
        place = caches[0].filled
        h = self._placed(x[:, None], self.position[place : place + 1], context)
        for block, cache, text in zip(self.blocks, caches, texts, strict=True):
            h = block(h, cache, text)
        return self.norm(h).squeeze(1)

    def _placed(self, x: Tensor, position: Tensor, context: Tensor | None) -> Tensor:
        h = x + position
        return h if self.context is None else h + self.context(context)[:, None]

    def layers(self) -> dict[str, nn.Module]:
        return numbered(self.blocks)


class ImageTransformer(Layered, nn.Module):
    """(N, in_channels, H, W), t (N,) or (N, num_times), and a context (N, F) -> (N, out_channels, H, W); every pixel sees all.

    with_states: the context (N, 1 + L, F) has states of words too, and blocks attend to them.
    A token is a square of `patch` x `patch` pixels; None: 2 for 16 pixels and more, else 1. The time is added to every
    token. backend: of the attention; "math" has forward-mode and second derivatives. time_scale: the highest frequency of
    the time's features (`nets/time_embedding.py`). Raises ValueError for other data than images.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 64,
        num_blocks: Count = 4,
        num_heads: Count = 4,
        patch: Count | None = None,
        dropout: Share = 0.0,
        backend: Backend = "fused",
        time_scale: Positive = TIME_SCALE,
    ) -> None:
        super().__init__()
        size = require_image(shape, "transformer")
        self.patch = patch = patch_of(patch, size)
        self.chosen = {"patch": patch}
        num_tokens = math.prod(math.ceil(side / patch) for side in size)
        self.stem = nn.Linear(in_channels * patch**2, hidden_channels)
        self.time = TimeEmbedding(hidden_channels, 64, context_features, time_scale, num_times=num_times)
        self.with_states = with_states
        sizes, words = (num_tokens, hidden_channels, num_blocks, num_heads), context_features if with_states else 0
        self.body = Transformer(*sizes, backend=backend, dropout=dropout, state_features=words)
        self.head = nn.Linear(hidden_channels, out_channels * patch**2)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        patches = fold(x, self.patch)
        tokens = self.stem(patches.flatten(2).mT) + self.time(t, context)[:, None]
        words = states(context) if self.with_states else None
        out = self.head(self.body(tokens, words=words)).mT.unflatten(2, patches.shape[2:])
        return unfold(out, self.patch, x.shape[-2:])

    def layers(self) -> dict[str, nn.Module]:
        return self.body.layers()
