"""HiFi-GAN, sound from its mel spectrogram by a generator and many discriminators (Kong, Kim & Bae 2020, arXiv 2010.05646).

Differs from the paper: the mel spectrograms are those of WaveGlow (`statistics/mel.py`), also in the loss, where the paper
compares all frequencies and not only those below 8,000 Hz; the generator's last samples are rounded to the levels of the data,
with a straight-through gradient; learning rates follow the budget, and samples come from an averaged generator by default.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genarena.likelihood import Likelihood, from_space, nearest_level, to_amplitudes, to_space, to_unit
from genarena.models.base import GenerativeModel
from genarena.models.gan.objectives import least_squares_discriminator, least_squares_generator
from genarena.models.vocoding import Vocodes
from genarena.nets.conditioning import in_parts
from genarena.nets.hifigan import HiFiGANGenerator
from genarena.nets.wave_discriminators import Judgement, WaveDiscriminators
from genarena.options.values import Count, NonNegative, Whole
from genarena.spec import Batch, DataSpec
from genarena.statistics.mel import WINDOW, log_mel
from genarena.training.module import Training
from genarena.training.players import Player, joint
from genarena.training.schedule import warmup_constant_cosine

PAPER_TRAINING = Training(
    optimizer=partial(torch.optim.AdamW, lr=2e-4, betas=(0.8, 0.99)), schedule=warmup_constant_cosine, batch_size=16
)
AT_ONCE = 16  # examples


class HiFiGAN(GenerativeModel, Vocodes):
    """min_D sum_k E[(D_k(x) - 1)^2 + D_k(G(y))^2],

    min_G sum_k E[(D_k(G(y)) - 1)^2 + lambda_f sum_l |D_k^l(x) - D_k^l(G(y))|] + lambda_m E|mel(x) - mel(G(y))|,

    y the mel spectrogram of x, D_k^l layer l of discriminator k, absolute values averaged (eq. 1 to 7). G is a function of y: a
    mel has one sound, and there is no likelihood.
    channels, rates, kernels, dilations, paired: of the generator. periods, period_channels, num_scales, scale_channels: of the
    discriminators. feature_weight: lambda_f. mel_weight: lambda_m.
    Raises ValueError unless the data is sound of one channel with its sample rate, given its mel, and longer than 512 samples.
    """

    family = "gan"
    likelihood = Likelihood.NONE
    paper = "2010.05646"
    takes_sound = True
    takes_images = False
    conditional = True
    condition_kinds = ("mel",)
    needs_condition = True
    noise_channels = 0
    usual_sigma = None

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        channels: Count = 512,
        rates: Sequence[Count] = (8, 8, 2, 2),
        kernels: Sequence[Count] = (3, 7, 11),
        dilations: Sequence[Sequence[int]] = ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
        paired: bool = True,
        periods: Sequence[Count] = (2, 3, 5, 7, 11),
        period_channels: Count = 32,
        num_scales: Whole = 3,
        scale_channels: Count = 128,
        feature_weight: NonNegative = 2.0,
        mel_weight: NonNegative = 45.0,
        discriminator_optimizer: Callable | None = None,
    ) -> None:
        super().__init__(spec, training or PAPER_TRAINING)
        if spec.sample_rate is None:
            raise ValueError("hifigan compares mel spectrograms, and the data has no data.spec.sample_rate")
        if spec.shape[1] <= WINDOW // 2:
            raise ValueError(f"{spec.shape[1]} samples: hifigan compares mel spectrograms, of more than {WINDOW // 2}")
        self.discriminator_optimizer = discriminator_optimizer
        self.feature_weight, self.mel_weight = feature_weight, mel_weight
        features = self.conditioning.out_features
        self.generator = HiFiGANGenerator(features, channels, rates, kernels, dilations, paired)
        self.discriminator = WaveDiscriminators(periods, period_channels, num_scales, scale_channels)

    def players(self) -> list[Player]:
        return [
            Player(
                "discriminator", self.discriminator.parameters(), self.discriminator_loss, self.discriminator_optimizer
            ),
            Player("generator", self.generator.parameters(), self.generator_loss),
        ]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses at once, for inspection; training alternates them."""
        return joint(self.players(), batch)

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """`mel`: the mean absolute difference of log-mel spectrograms. Nothing is selected by it: it says little of how a sound
        is heard."""
        return {"mel": self.mel_distance(to_space(batch.x, self.spec), self.generate(batch.y, len(batch.x)))}

    def discriminator_loss(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self.generate(batch.y, len(batch.x))
        # One pass for both: no layer mixes examples.
        judged = self.discriminator(torch.cat([to_space(batch.x, self.spec), fake]))
        halves = [logits.chunk(2) for logits, _ in judged]
        return {"loss": sum(least_squares_discriminator(real, made) for real, made in halves)}

    def generator_loss(self, batch: Batch) -> dict[str, Tensor]:
        """`adversarial`, `features` and `mel`: the three terms, before their weights."""
        real, fake = to_space(batch.x, self.spec), self.generate(batch.y, len(batch.x))
        judged = self.discriminator(torch.cat([real, fake]))
        adversarial = sum(least_squares_generator(logits.chunk(2)[1]) for logits, _ in judged)
        features, mel = feature_distance(judged), self.mel_distance(real, fake)
        loss = adversarial + self.feature_weight * features + self.mel_weight * mel
        return {"loss": loss, "adversarial": adversarial, "features": features, "mel": mel}

    def generate(self, y: Tensor | None, num: int) -> Tensor:
        """G(y) (num, 1, T) in [-1, 1], at the levels of the data, with a straight-through gradient."""
        x, levels = self.generator(self.context(y, num)), self.spec.num_levels
        return x + (to_unit(nearest_level(x, levels), levels) - x).detach()

    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        return self.generator(self.conditioning.frames(mel))

    @property
    def reach(self) -> int:
        return self.generator.reach

    def mel_distance(self, x: Tensor, other: Tensor) -> Tensor:
        """The mean absolute difference of the log-mel spectrograms of sounds (N, 1, T) in [-1, 1]."""
        return F.l1_loss(self._mel(x), self._mel(other))

    def _mel(self, x: Tensor) -> Tensor:
        levels = (x[:, 0].float() + 1.0) * (0.5 * (self.spec.num_levels - 1))
        return log_mel(to_amplitudes(levels, self.spec.num_levels), self.spec.sample_rate)

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, 1, T) levels; the same for the same mel."""
        parts = in_parts(self.conditioning, num_samples, AT_ONCE, y)
        return torch.cat([from_space(self.generate(part, num), self.spec) for num, part in parts])


def feature_distance(judged: list[Judgement]) -> Tensor:
    """The sum over all hidden maps of the mean absolute difference between the first half of the examples and the second
    (Larsen et al. 2016, arXiv 1512.09300; Kumar et al. 2019, arXiv 1910.06711)."""
    distances = []
    for _, maps in judged:
        for each in maps:
            real, fake = each.float().chunk(2)
            distances.append(F.l1_loss(fake, real.detach()))
    return sum(distances)
