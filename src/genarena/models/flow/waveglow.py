"""WaveGlow (Prenger, Valle & Catanzaro 2018, arXiv 1811.00002): a flow from sound to noise, given the mel spectrogram.

Differs from the paper
- log p(x) is of 16-bit levels with uniform dequantisation, all constants included; the paper's loss leaves out log(2 pi) / 2.
- The mel is upsampled to the rate of groups, with `context_channels` channels, not to `group` times 80 at the rate of samples.
- The mel whitens the sound before the first step, as far as it can by linear prediction (`nets/whitening.py`): a new model is
  `gaussian_mel`, and training adds to it. `whitening=0` leaves it out.
- Samples are divided by a loudness that is linear in the condition and starts as that of the first batch.
- W is kept as the factors of its LU decomposition, as in Glow: it cannot become singular, and its determinant keeps its sign.
- A tanh limits log s to [-3, 3], so that couplings cannot amplify each other.
- Without a condition it is a flow of sound alone.
`waveglow_paper` has the sizes of the paper.
"""

from collections.abc import Callable

from torch import Tensor, nn

from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import InvertibleConv
from genarena.models.flow.sound import Conditioned, EarlyOutputs, Grouped, Loudness, SoundCoupling
from genarena.models.flow.sound_flow import SoundFlow, Synthesis
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import num_features
from genarena.nets.mel_upsampling import MelUpsampling
from genarena.nets.wavenet import GatedStack
from genarena.nets.whitening import Whitening
from genarena.options.values import Count, Whole
from genarena.spec import DataSpec
from genarena.training.module import Training


class WaveGlow(SoundFlow):
    """log p(x | mel) = log N(z; 0, I) + sum over steps of (T / group) log |det W| + sum log s(x_a, mel)   (eq. 4-9).

    `group` samples become channels; a step is an invertible 1x1 convolution W and an affine coupling; `early_channels` channels
    leave after every `early_every` steps (sec. 2).

    num_steps: steps of flow. num_layers, hidden_channels, skip_channels: of the network in each coupling, whose dilations are
    1, 2, 4, ... context_channels: channels of the mel after upsampling, at the rate of groups. whitening: coefficients of
    linear prediction by the mel, 0 for none; without a condition there is none.
    Raises ValueError for data that is no sound of one channel and integer levels, a length or an odd number that `group` does
    not fit, too many early outputs, and more coefficients than predictors have.
    """

    paper = "1811.00002"

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        group: Count = 8,
        num_steps: Count = 6,
        num_layers: Count = 6,
        hidden_channels: Count = 32,
        skip_channels: Count = 32,
        kernel_size: Count = 3,
        context_channels: Count = 80,
        early_every: Count = 4,
        early_channels: Count = 2,
        whitening: Whole = 0,
        sampler: Temperature | Synthesis = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        spec.require_sound("waveglow")
        check_groups(spec.shape[1], group)
        features = num_features(spec.condition)
        upsampling = MelUpsampling(features, context_channels, group) if features else None
        context_channels = context_channels if features else 0

        def step(channels: int) -> Bijection:
            stack = GatedStack(
                channels // 2,
                hidden_channels,
                skip_channels,
                num_layers,
                kernel_size,
                context_channels=context_channels,
            )
            return Chain(InvertibleConv(channels), SoundCoupling(WaveNetwork(stack, skip_channels, channels)))

        steps = early_outputs(group, num_steps, early_every, early_channels, step)
        inner = Conditioned(upsampling, Grouped(group, Chain(Loudness(context_channels), steps)))
        super().__init__(spec, training, inner, sampler, Whitening.of(spec, whitening))
        self.group = group

    @property
    def reach(self) -> int:
        stacks = [part for part in self.flow.modules() if isinstance(part, GatedStack)]
        groups = 1 + sum(stack.reach[0] for stack in stacks)
        return self.group * groups + (MelUpsampling.reach if self.spec.condition else 0)


def check_groups(num_samples: int, group: int) -> None:
    """Raise ValueError unless `group` is even and divides the length of the sound."""
    if group < 2 or group % 2 or num_samples % group:
        raise ValueError(f"group={group}: expected an even divisor of the {num_samples} samples of the sound")


def early_outputs(group: int, num_steps: int, every: int, early: int, step: Callable[[int], Bijection]) -> EarlyOutputs:
    """`num_steps` times `step(channels)`; `early` channels leave before steps every, 2 every, ... Raises ValueError unless an
    even number of channels, at least 2, remains at the end."""
    remaining = group - early * ((num_steps - 1) // every)
    if early % 2 or remaining < 2:
        raise ValueError(
            f"early_channels={early}: expected an even number, so small that of {group} channels at least 2 remain after "
            f"{(num_steps - 1) // every} early outputs; {remaining} would"
        )
    levels = [
        Chain(*(step(group - early * (first // every)) for _ in range(first, min(first + every, num_steps))))
        for first in range(0, num_steps, every)
    ]
    return EarlyOutputs(levels, early)


class WaveNetwork(nn.Module):
    """A stack of gated convolutions and a last layer that starts at zero, so that a new coupling is the identity."""

    def __init__(self, stack: GatedStack, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stack = stack
        self.last = nn.Conv1d(skip_channels, out_channels, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.last(self.stack(x, context))
