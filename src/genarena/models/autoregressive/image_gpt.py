"""Image GPT: a plain causal transformer on pixels (Chen et al. 2020, "Generative Pretraining from Pixels", ICML 2020).

Differs from the paper
- A token is a level of one channel, and for binary images a block of 2 x 2 pixels: bijections, so the likelihood is exact. The
  paper's tokens are 512 colours found by k-means.
- Weights start as PyTorch's layers do, not as those of sparse transformers; dropout is an option (the paper has none).
- Layer normalisation and the exact GELU (its code has norms without means and biases, and z sigmoid(1.702 z)).
- A linear map of the condition is added to every token; blocks attend to the words of a caption.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import Categorical
from genarena.models.autoregressive.conditional_product import ConditionalProduct
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.autoregressive.tokens import BlockTokens
from genarena.models.capabilities import Factorises, Represents
from genarena.models.keeping import Choose, Select, move
from genarena.models.sampler import Temperature
from genarena.nets.attention import Backend
from genarena.nets.conditioning import has_states, num_features, states
from genarena.nets.layers import recorded
from genarena.nets.transformer import Transformer
from genarena.options.values import Count, Share
from genarena.spec import DataSpec
from genarena.training.module import Training


class ImageGPT(ConditionalProduct, Factorises, Represents):
    """log p(x) = sum_t log p(token_t | token_1, ..., token_{t-1}), tokens in raster order (`tokens.py`).

    Raises ValueError for data that is not images of levels, and for more than 4096 tokens in the vocabulary.
    """

    paper = "https://proceedings.mlr.press/v119/chen20s.html"
    mixed_precision = True
    sample_chunk = 256  # the caches of more do not fit into memory

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        block: Count | None = None,
        hidden_channels: Count = 64,
        num_blocks: Count = 4,
        num_heads: Count = 4,
        dropout: Share = 0.0,
        backend: Backend = "fused",
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
    ) -> None:
        """block: side of the blocks of pixels that are one token; None: 2 for two levels, else 1.

        hidden_channels: features of a token. num_blocks: layers. backend: arithmetic of attention (`nets/attention.py`).
        """
        super().__init__(spec, training, condition_dropout)
        spec.require_image("image_gpt")
        self.use(sampler)
        self.tokens = BlockTokens(spec, block)
        self.chosen = {"block": "x".join(map(str, self.tokens.block))}
        self.start = nn.Parameter(0.02 * torch.randn(hidden_channels))  # the input at the first position
        self.embedding = nn.Embedding(self.tokens.vocabulary, hidden_channels)
        features = num_features(spec.condition, condition_dropout)
        self.transformer = Transformer(
            self.tokens.num_tokens,
            hidden_channels,
            num_blocks,
            num_heads,
            True,
            backend,
            dropout,
            features,
            features if has_states(spec.condition) else 0,
        )
        self.head = nn.Linear(hidden_channels, self.tokens.vocabulary, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats; x (N, C, H, W) levels."""
        tokens = self.tokens.encode(x)
        logits = self.logits(self.embedding(tokens), self.context(y, len(x)))
        return -F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view(tokens.shape).sum(1)

    def logits(self, embedded: Tensor, context: Tensor | None = None) -> Tensor:
        """(N, T, vocabulary) float32 from embedded tokens (N, T, features); those at t depend on the tokens before t."""
        start = self.start.expand(len(embedded), 1, -1)
        inputs = torch.cat([start, embedded[:, :-1]], 1)
        return self.head(self.transformer(inputs, context, self._words(context))).float()

    def _words(self, context: Tensor | None) -> Tensor | None:
        """States of the words of captions, (N, L, F); None without."""
        return states(context) if has_states(self.spec.condition) else None

    @torch.no_grad()
    def features(self, x: Tensor, y: Tensor | None = None) -> dict[str, Tensor]:
        """The tokens after each block, averaged (sec. 3.4 of the paper)."""
        embedded, context = self.embedding(self.tokens.encode(x)), self.context(y, len(x))
        return recorded(lambda: self.logits(embedded, context), self.transformer.layers())

    def order(self) -> Tensor:
        indices = torch.arange(self.spec.num_dims).view(1, *self.spec.shape)
        return self.tokens.blocks(indices).flatten()

    def unroll(self, num_images: int, choose: Choose, y: Tensor | None = None, select: Select | None = None) -> Tensor:
        """Levels (num_images, C, H, W) that `choose` gives: token after token, in a token pixel after pixel."""
        context, caches, blocks = self.context(y, num_images), self.transformer.caches(num_images), []
        inputs, texts = self.start.expand(num_images, -1), self.transformer.texts(self._words(context))
        for token in range(self.tokens.num_tokens):
            logits = self.head(self.transformer.step(inputs, caches, context, texts)).float()
            blocks.append(self.choose_block(logits, token, choose))
            if select is not None and (index := select()) is not None:
                move(index, *blocks, *(part for cache in caches for part in cache.filled_parts()))
            inputs = self.embedding(self.tokens.join(blocks[-1].nan_to_num()))
        return self.tokens.image(torch.stack(blocks, 1))

    def choose_block(self, logits: Tensor, token: int, choose: Choose) -> Tensor:
        """Levels (N, pixels) of one token, pixel after pixel: p(level | those before it) is a sum over the pixels after it."""
        left, levels = logits.float(), []  # left (N, L^k): log-probabilities of the k pixels that are not chosen yet
        for pixel in range(self.tokens.num_pixels):
            joint = left.unflatten(1, (self.spec.num_levels, -1))
            distribution = Categorical(joint.logsumexp(2)[:, :, None, None, None])
            levels.append(choose(distribution, **self.tokens.place(token, pixel)))
            left = joint[torch.arange(len(joint), device=joint.device), levels[-1].nan_to_num().long()]
        return torch.stack(levels, 1)

    @property
    def nfe(self) -> int:
        return self.tokens.num_tokens * self.sampler.predictions
