"""Bijections of sound (N, 1, T) for all of its flows: amplitudes, loudness, groups of samples, early outputs, and a condition
that is brought to the rate of the data once for all steps."""

import torch
from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.couplings import LARGEST, SplitCoupling
from genarena.nets.mel_upsampling import MelUpsampling
from genarena.ranks import exchange


class Amplitudes(Bijection):
    """z = 2 u - 1: from [0, 1) to amplitudes in [-1, 1)."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return 2.0 * x - 1.0, x.new_full((len(x),), 2.0).log() * x[0].numel()

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return 0.5 * (z + 1.0)


class Flatten(Bijection):
    """(N, 1, T) to (N, T): a latent code is a noise as long as the sound."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z[:, None]


class Grouped(Bijection):
    """A bijection of groups of samples: (N, 1, T) is (N, group, T / group) inside, and (N, 1, T) again outside.

    Channel c holds samples c, c + group, c + 2 group, ...
    """

    def __init__(self, group: int, inner: Bijection) -> None:
        super().__init__()
        self.group, self.inner = group, inner

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, log_det = self.inner(grouped(x, self.group), context)
        return ungrouped(z), log_det

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return ungrouped(self.inner.inverse(grouped(z, self.group), context))


def grouped(x: Tensor, group: int) -> Tensor:
    """(N, 1, T) to (N, group, T / group)."""
    return x.view(len(x), -1, group).mT.contiguous()


def ungrouped(x: Tensor) -> Tensor:
    """The inverse of `grouped`."""
    return x.mT.flatten(1)[:, None]


class Loudness(Bijection):
    """z = x / exp(a + b(c)): one scale for all samples of a group, which the mel gives.

    a starts as the deviation of the first training batch, b (linear in the condition) at zero. A scale or a shift per channel
    would be heard as a tone at multiples of the sample rate over `group`. `initialised` is part of the state.
    """

    def __init__(self, context_channels: int = 0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.context = nn.Conv1d(context_channels, 1, 1, bias=False) if context_channels else None
        if self.context is not None:
            nn.init.zeros_(self.context.weight)
        self.register_buffer("initialised", torch.tensor(False))

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.initialise(x)
        log_scale = self.scales(x, context)
        return x * torch.exp(-log_scale), -x.shape[1] * log_scale.sum((1, 2))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return z * torch.exp(self.scales(z, context))

    def scales(self, x: Tensor, context: Tensor | None) -> Tensor:
        """(N, 1, T)."""
        log_scale = self.log_scale.expand(len(x), 1, x.shape[2])
        return log_scale if self.context is None else log_scale + self.context(context).to(x.dtype)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set the scale from `x`, if this is the first batch in training mode; the same on all ranks of a job."""
        if not self.training or self.initialised:
            return
        (square,) = exchange.mean(x.float().square().mean()[None])
        self.log_scale.copy_(0.5 * torch.log(square.clamp_min(1e-10)))
        self.initialised.fill_(True)


class SoundCoupling(SplitCoupling):
    """A coupling whose network reads x_a itself, with s up to 3: silence and speech differ by a factor of thousands."""

    def scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        raw, shift = self.network(kept, context).to(kept.dtype).chunk(2, 1)
        return LARGEST * torch.tanh(raw / LARGEST), shift


class EarlyOutputs(Bijection):
    """(N, C, T) to (N, C, T): after each level but the last, the first `early` channels are done and the others go on.

    levels: bijections of C, C - early, C - 2 early, ... channels. z has the channels in the order in which they leave.
    """

    def __init__(self, levels: list[Bijection], early: int) -> None:
        super().__init__()
        self.levels, self.early = nn.ModuleList(levels), early

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total, done = x.new_zeros(len(x)), []
        for index, level in enumerate(self.levels):
            x, log_det = level(x, context)
            total = total + log_det
            if index < len(self.levels) - 1:
                done.append(x[:, : self.early])
                x = x[:, self.early :]
        return torch.cat([*done, x], 1), total

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        *done, x = z.split(
            [*[self.early] * (len(self.levels) - 1), z.shape[1] - self.early * (len(self.levels) - 1)], 1
        )
        x = self.levels[-1].inverse(x, context)
        for level, part in zip(reversed(self.levels[:-1]), reversed(done), strict=True):
            x = level.inverse(torch.cat([part, x], 1), context)
        return x


class Conditioned(Bijection):
    """Bijections in a chain, whose condition is a mel (N, F, frames) that is upsampled once; upsampling=None: no condition."""

    def __init__(self, upsampling: MelUpsampling | None, *bijections: Bijection) -> None:
        super().__init__()
        self.upsampling, self.inner = upsampling, Chain(*bijections)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.inner(x, self._local(context))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        return self.inner.inverse(z, self._local(context))

    def _local(self, context: Tensor | None) -> Tensor | None:
        return None if self.upsampling is None else self.upsampling(context)
