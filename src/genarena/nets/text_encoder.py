"""From the tokens of a caption to vectors: an encoder of words that is learned together with the model that reads it.

A small transformer (Vaswani et al. 2017, arXiv 1706.03762) on embeddings of words. Differs from the paper: LayerNorm before
each sublayer and without a gain at the end, GELU, learned positions.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import SelfAttention

FEATURES = 128  # of a state
NUM_BLOCKS, NUM_HEADS = 2, 4
PADDING = 0  # the token that is no word
START = 0.3  # deviation of words and of positions: both matter from the start


class TextBlock(nn.Module):
    """h = x + attention(norm(x));  h + mlp(norm(h)); x (N, L, features). A place sees the words and itself."""

    def __init__(self, features: int, num_heads: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.attention = SelfAttention(features, num_heads)
        self.mlp = nn.Sequential(nn.Linear(features, 2 * features), nn.GELU(), nn.Linear(2 * features, features))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        """seen (N, 1, L, L): which places a place looks at."""
        h = x + self.attention(self.attention_norm(x), mask=seen)
        return h + self.mlp(self.mlp_norm(h))


class WordEncoder(nn.Module):
    """Tokens (N, L) to a vector (N, 128) and states of the words (N, L, 128). Padding changes neither, and its states are zero.

    A state has mean zero and variance one, the vector is the mean of the states of the words, scaled to norm one; zero without
    a word. size: of the vocabulary. length: L.
    """

    def __init__(self, size: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(size, FEATURES)
        self.position = nn.Parameter(START * torch.randn(length, FEATURES))
        nn.init.normal_(self.embedding.weight, std=START)
        self.blocks = nn.ModuleList(TextBlock(FEATURES, NUM_HEADS) for _ in range(NUM_BLOCKS))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        words = tokens != PADDING
        h = self.embedding(tokens) + self.position
        seen = words[:, None, None, :] | torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device)
        for block in self.blocks:
            h = block(h, seen)
        states = torch.where(words[:, :, None], F.layer_norm(h, (FEATURES,)), 0.0)
        return mean_of_words(states, words), states


def mean_of_words(states: Tensor, words: Tensor) -> Tensor:
    """(N, F), of norm one, or zero without a word; states (N, L, F), words (N, L) which of them are words."""
    mean = (states * words[:, :, None]).sum(1) / words.sum(1, keepdim=True).clamp_min(1)
    return F.normalize(mean, dim=1)
