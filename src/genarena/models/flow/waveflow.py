"""WaveFlow (Ping, Peng, Zhao & Song 2020, arXiv 1912.01219): a flow of sound that goes row by row, given the mel spectrogram.

T samples become `height` rows of T / height, so that neighbours in time stand below each other. A step is autoregressive over
rows: it is computed at once from data to noise, and in `height` passes from noise to data.

Differs from the paper
- log p(x) is of 16-bit levels with uniform dequantisation.
- The mel whitens the sound before the first step (`nets/whitening.py`), as in our WaveGlow. `whitening=0` leaves it out.
- Samples are divided by a loudness that is linear in the condition and starts as that of the first batch.
- The mel is upsampled by one transposed convolution, as in WaveGlow. A tanh limits log s to [-3, 3].
- Rows are not dilated, which the paper does for 32 and 64 rows.
- Without a condition it is a flow of sound alone.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from genarena.models.flow.bijection import Bijection
from genarena.models.flow.couplings import LARGEST
from genarena.models.flow.sound import Conditioned, Loudness
from genarena.models.flow.sound_flow import SoundFlow, Synthesis
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.nets.mel_upsampling import MelUpsampling
from genarena.nets.wavenet_2d import GatedRows
from genarena.nets.whitening import Whitening
from genarena.options.values import Count, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training


class WaveFlow(SoundFlow):
    """log p(x | mel) = log N(z; 0, I) + sum over steps of sum log s,   z_r = (x_r + t(x_{<r}, mel)) s(x_{<r}, mel)   (eq. 7-9).

    height: rows. num_steps: steps of flow, which see the rows in other orders (sec. 3.3). num_layers, hidden_channels,
    skip_channels: of the network in each step. context_channels: channels of the mel after upsampling. whitening: coefficients
    of linear prediction by the mel, 0 for none; without a condition there is none.
    Raises ValueError for data that is no sound of one channel and integer levels, and a length or an odd number that `height`
    does not fit.
    """

    paper = "1912.01219"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        height: Count = 8,
        num_steps: Count = 4,
        num_layers: Count = 4,
        hidden_channels: Count = 16,
        skip_channels: Count = 16,
        context_channels: Count = 16,
        whitening: Whole = 0,
        sampler: Temperature | Synthesis = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        spec.require_sound("waveflow")
        if height < 2 or height % 2 or spec.shape[1] % height:
            raise ValueError(f"height={height}: expected an even divisor of the {spec.shape[1]} samples of the sound")
        features = num_features(spec.condition)
        context_channels = context_channels if features else 0
        steps = []
        for order in orders(height, num_steps):
            network = GatedRows(1, hidden_channels, skip_channels, num_layers, context_channels)
            steps.append(RowStep(network, skip_channels, order))
        upsampling = MelUpsampling(features, context_channels) if features else None
        inner = Conditioned(upsampling, Loudness(context_channels), *steps)
        super().__init__(spec, training, inner, sampler, Whitening.of(spec, whitening))
        self.height = height

    @property
    def reach(self) -> int:
        places = 1 + sum(part.reach for part in self.flow.modules() if isinstance(part, GatedRows))
        return self.height * places + (MelUpsampling.reach if self.spec.condition else 0)


def orders(height: int, num_steps: int) -> list[list[int]]:
    """Of the rows in each step: reversed from step to step, and in the second half of the steps each half by itself."""
    order, found = list(range(height)), []
    for step in range(num_steps):
        found.append(order)
        half = height // 2
        order = order[::-1] if step < num_steps // 2 else order[:half][::-1] + order[half:][::-1]
    return found


class RowStep(Bijection):
    """z_r = (x_r + t) exp(log s) for row r of sound (N, 1, T), s and t from the rows before it in `order`."""

    def __init__(self, network: GatedRows, skip_channels: int, order: list[int]) -> None:
        super().__init__()
        self.network = network
        self.last = nn.Conv2d(skip_channels, 2, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        rows, context = self._rows(x), self._rows(context)
        log_scale, shift = self._read(self.network(rows, context), rows)
        return self._sound((rows + shift) * torch.exp(log_scale)), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        rows, context = self._rows(z), self._rows(context)
        above, before, done = [None] * len(self.network.layers), torch.zeros_like(rows[:, :, :1]), []
        with cached():  # weights are normalised once
            for row in range(rows.shape[2]):
                local = None if context is None else context[:, :, row : row + 1]
                log_scale, shift = self._read(self.network.advance(before, above, local), rows)
                before = rows[:, :, row : row + 1] * torch.exp(-log_scale) - shift
                done.append(before)
        return self._sound(torch.cat(done, 2))

    def _read(self, features: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        raw, shift = self.last(features).to(rows.dtype).chunk(2, 1)
        return LARGEST * torch.tanh(raw / LARGEST), shift

    def _rows(self, x: Tensor | None) -> Tensor | None:
        """(N, C, T) to (N, C, height, T / height), in the order of the step."""
        return None if x is None else x.unflatten(2, (-1, len(self.order))).mT[:, :, self.order]

    def _sound(self, rows: Tensor) -> Tensor:
        """The inverse of `_rows`."""
        return rows[:, :, self.order.argsort()].mT.flatten(2)
