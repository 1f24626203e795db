"""The network of DiffWave (Kong et al. 2021, arXiv 2009.09761, sec. 3 and fig. 2): from noisy sound to its noise.

Differs from the paper: the mel spectrogram is brought to the rate of samples by one convolution that begins as interpolation
(`mel_upsampling.py`) instead of two transposed ones, and to `context_channels` numbers; there is no ReLU after the first layer.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from genarena.nets.attention import Backend
from genarena.nets.mel_upsampling import MelUpsampling
from genarena.nets.time_embedding import TIME_SCALE, TimeEmbedding
from genarena.nets.wavenet import GatedStack
from genarena.options.values import Count, Positive
from genarena.spec import MEL_HOP

FEATURES = 128  # of the time


class DiffWave(nn.Module):
    """x (N, in_channels, T), times t (N,) and a context to (N, out_channels, T). The output is zero before training.

    context: frames (N, context_features, T / 256 + 1) of a mel, or vectors (N, context_features) that hold for the whole sound.
    hidden_channels, num_layers, dilation_cycle: of the gated convolutions, whose dilations are 1, 2, 4, ... and begin anew
    after `dilation_cycle` layers. context_channels: numbers per sample that the mel becomes. embedding_channels: of the time.
    backend: of the convolutions; "math": slower, with forward-mode and second derivatives.
    reach: samples on each side of a place that its output depends on.
    Raises ValueError for other shapes than (C, T), and for captions by word.
    """

    takes_sound: ClassVar[bool] = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        shape: Sequence[int],
        context_features: int = 0,
        with_states: bool = False,
        num_times: int = 1,
        hidden_channels: Count = 32,
        num_layers: Count = 12,
        dilation_cycle: Count = 6,
        context_channels: Count = 32,
        embedding_channels: Count = 128,
        backend: Backend = "fused",
        time_scale: Positive = TIME_SCALE,
    ) -> None:
        super().__init__()
        if len(shape) != 2:
            raise ValueError(f"diffwave: shape={tuple(shape)}: expected sound (C, T)")
        if with_states:
            raise ValueError("diffwave: the words of captions: expected a mel, or a condition that is one vector")
        self.embedding = TimeEmbedding(embedding_channels, FEATURES, time_scale=time_scale, num_times=num_times)
        self.upsampling = MelUpsampling(context_features, context_channels) if context_features else None
        self.stack = GatedStack(
            in_channels,
            hidden_channels,
            hidden_channels,
            num_layers,
            dilation_cycle=dilation_cycle,
            context_channels=context_channels if context_features else 0,
            step_features=embedding_channels,
            scale=0.5**0.5,
            merged=backend == "fused",
        )
        self.hidden = nn.Conv1d(hidden_channels, hidden_channels, 1)
        self.last = nn.Conv1d(hidden_channels, out_channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    @property
    def reach(self) -> int:
        return max(*self.stack.reach, 0 if self.upsampling is None else self.upsampling.reach)

    def forward(self, x: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        skips = self.stack(x, self._local(context, x.shape[-1]), self.embedding(t)) / len(self.stack.layers) ** 0.5
        return self.last(F.relu(self.hidden(F.relu(skips))))

    def _local(self, context: Tensor | None, length: int) -> Tensor | None:
        """(N, context_channels, length)."""
        if self.upsampling is None or context is None:
            return None
        if context.dim() == 2:
            context = context[:, :, None].expand(-1, -1, -(-length // MEL_HOP) + 1)
        return self.upsampling(context)[..., :length]
