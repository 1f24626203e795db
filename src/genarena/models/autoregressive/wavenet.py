"""WaveNet, sound sample by sample (van den Oord et al. 2016, arXiv 1609.03499).

Differs from the paper
- Samples of 16 bits have a mixture of discretised logistics (Parallel WaveNet: van den Oord et al. 2018, arXiv 1711.10433,
  sec. 2) instead of 256 classes of mu-law.
- The mean of the mixture begins with a linear prediction from the last samples. Its coefficients, and the scale of what it
  leaves, are those of the first training batch (least squares), and are trained on.
- With `whitening` the mel gives the linear prediction and the scale of its errors instead (`nets/whitening.py`), and the
  network reads these errors beside the samples, as LPCNet does (Valin & Skoglund 2018, arXiv 1810.11846).
- The condition is brought to the rate of samples by a convolution that begins as interpolation (`nets/mel_upsampling.py`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.distributions import DiscretisedLogisticMixture
from genarena.likelihood import nearest_level, to_space, to_unit
from genarena.models.autoregressive.conditional_product import ConditionalProduct
from genarena.models.autoregressive.level_choice import TopP
from genarena.models.autoregressive.linear_prediction import LOUDNESS, ByMel, Everywhere, Expected
from genarena.models.autoregressive.sample_cache import SampleCache
from genarena.models.keeping import Choose
from genarena.models.sampler import Temperature
from genarena.models.vocoding import Vocodes
from genarena.nets.mel_upsampling import MelUpsampling
from genarena.nets.wavenet import GatedStack
from genarena.nets.whitening import Whitening
from genarena.options.values import Count, Share, Whole
from genarena.ranks import exchange
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training

SPREAD = 0.5  # of the components' means before training, and their scale: in deviations of what is left to predict


class WaveNet(ConditionalProduct, Vocodes):
    """log p(x | y) = sum_t log p(x_t | x_1, ..., x_{t-1}, y),   p = sum_k pi_k Logistic(sum_j a_j x_{t-j} + m_k, s_k).

    hidden_channels, num_layers, kernel_size, dilation_cycle: of the gated causal convolutions, whose dilations are 1, 2, 4, ...
    and begin anew after `dilation_cycle` layers. skip_channels: what the layers give to the head. num_mixtures: K.
    linear_order: number of coefficients a_j, the same for all samples. whitening: number of those that the mel gives in place
    of them, 0 for none; without a mel there are none. context_channels: numbers per sample that the mel becomes.
    Raises ValueError unless the data is sound of one channel, and for `whitening` with `condition_dropout`.
    """

    paper = "1609.03499"
    takes_sound = True
    takes_images = False
    condition_kinds = ("mel",)
    noise_channels = 2  # which component, and where in it
    reach = None
    sample_chunk = 64

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 32,
        skip_channels: Count = 64,
        num_layers: Count = 16,
        kernel_size: Count = 2,
        dilation_cycle: Count = 8,
        context_channels: Count = 32,
        num_mixtures: Count = 4,
        linear_order: Whole = 32,
        sampler: Temperature | TopP = Temperature(),  # noqa: B008 - frozen
        condition_dropout: Share = 0.0,
        whitening: Whole = 0,
    ) -> None:
        super().__init__(spec, training, condition_dropout)
        self.use(sampler)
        self.whitening = Whitening.of(spec, whitening, condition_dropout)
        self.num_mixtures = num_mixtures
        features = self.conditioning.out_features if self.conditioning else 0
        self.upsampling = MelUpsampling(features, context_channels) if features else None
        self.stack = GatedStack(
            1 if self.whitening is None else 2,
            hidden_channels,
            skip_channels,
            num_layers,
            kernel_size,
            dilation_cycle,
            causal=True,
            context_channels=context_channels if features else 0,
        )
        self.hidden = nn.Conv1d(skip_channels, skip_channels, 1)
        self.last = nn.Conv1d(skip_channels, 3 * num_mixtures, 1)
        self.linear = nn.Parameter(torch.zeros(linear_order)) if self.whitening is None else None  # a_1, a_2, ...
        self.register_buffer("started", torch.tensor(False))
        self._spread(1.0 if self.whitening is None else LOUDNESS)

    @torch.no_grad()
    def _spread(self, deviation: float) -> None:
        """Start with components beside each other, for a linear prediction that leaves errors of this deviation."""
        nn.init.zeros_(self.last.weight)
        logits, mean, log_scale = self.last.bias.view(3, self.num_mixtures)
        logits.zero_()
        mean.copy_(torch.linspace(-1.0, 1.0, self.num_mixtures + 2)[1:-1] * (SPREAD * deviation / LOUDNESS))
        log_scale.fill_(math.log(SPREAD * deviation / LOUDNESS))

    @torch.no_grad()
    def observe(self, batch: Batch) -> None:
        """The first batch gives the linear prediction, by least squares, and the scale of what is left."""
        if self.started or not self.training or self.whitening is not None:
            return
        self.started.fill_(True)
        x, order = to_space(exchange.whole_batch(batch.x), self.spec)[:, 0].double(), len(self.linear)
        rows = F.pad(x, (order, 0)).unfold(1, order + 1, 1).flatten(0, 1)  # the last samples and the one after them
        moments = rows.T @ rows / len(rows)
        moments.diagonal().add_((self.spec.num_levels - 1.0) ** -2)  # half a level: silence has no linear prediction
        coefficients = torch.linalg.solve(moments[:-1, :-1], moments[:-1, -1])
        self.linear.copy_(coefficients.flip(0))
        variance = moments[-1, -1] - coefficients @ moments[:-1, -1]
        self._spread(variance.sqrt().item())

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """Exact, (N,) nats; x (N, 1, T) levels."""
        parameters = self.parameters_of(to_unit(x, self.spec.num_levels), y)
        return self.distribution(parameters).log_prob(x[:, :, None]).flatten(1).sum(1)

    def parameters_of(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """(N, 3, K, T): logits, means and logarithms of scales of the mixture of each sample of x (N, 1, T) in [-1, 1]."""
        linear = self.linear_of(x, y)
        past = F.pad(self.inputs(x, linear), (1, 0))[:, :, :-1]
        return self.head(self.stack(past, self.local(y, len(x))), linear)

    def linear_of(self, x: Tensor, y: Tensor | None) -> Expected:
        """The linear prediction of all samples of x (N, 1, T)."""
        if self.whitening is not None:
            errors, deviation = self.whitening.errors(x, self.conditioning.frames(y))
            return Expected(x - errors, deviation)
        if not len(self.linear):
            return Expected(0.0 * x, LOUDNESS)
        return Expected(F.conv1d(F.pad(x, (len(self.linear), 0))[:, :, :-1], self.linear.flip(0)[None, None]), LOUDNESS)

    def inputs(self, x: Tensor, linear: Expected) -> Tensor:
        """What the network reads of samples x (N, 1, T): them, and what their linear prediction by the mel leaves."""
        heard = x / LOUDNESS
        return heard if self.whitening is None else torch.cat([heard, (x - linear.mean) / linear.deviation], 1)

    def local(self, y: Tensor | None, num: int) -> Tensor | None:
        """The condition at every sample, (N, context_channels, T)."""
        return None if self.upsampling is None else self.upsampling(self.context(y, num))

    def head(self, skips: Tensor, linear: Expected) -> Tensor:
        """(N, 3, K, T) of the sum of skips (N, skip_channels, T)."""
        raw = self.last(F.relu(self.hidden(F.relu(skips)))).unflatten(1, (3, self.num_mixtures))
        logits, mean, log_scale = raw.unbind(1)
        deviation = torch.as_tensor(linear.deviation, dtype=raw.dtype, device=raw.device)
        return torch.stack([logits, linear.mean + deviation * mean, deviation.log() + log_scale], 1)

    def distribution(self, parameters: Tensor) -> DiscretisedLogisticMixture:
        """Of samples (N, 1, 1, T), from (N, 3, K, T); a scale is at least a tenth of a level, so that gradients are finite."""
        logits, mean, log_scale = parameters[:, :, :, None, None].unbind(1)
        floor = math.log(0.2 / (self.spec.num_levels - 1))
        return DiscretisedLogisticMixture(logits, mean, log_scale.clamp(floor, 7.0), self.spec.num_levels)

    @torch.no_grad()
    def unroll(self, num_sounds: int, choose: Choose, y: Tensor | None = None) -> Tensor:
        """Levels (num_sounds, 1, T) as floats that `choose` gives, one sample after the other."""
        return self._unrolled(num_sounds, self.spec.shape[1], choose, self.context(y, num_sounds))

    def vocode(self, mel: Tensor, noise: Tensor) -> Tensor:
        """Samples of the model, whatever its sampler is; the noise chooses them."""
        uniform = torch.special.ndtr(noise.double()).clamp(1e-12, 1.0 - 1e-12)

        def choose(distribution: DiscretisedLogisticMixture, *, channel: int, row: int, column: int) -> Tensor:
            return quantile(distribution, *uniform[:, :, column].unbind(1))

        context = self.conditioning.frames(mel)
        return to_unit(self._unrolled(len(mel), noise.shape[2], choose, context), self.spec.num_levels)

    def _unrolled(self, num_sounds: int, length: int, choose: Choose, context: Tensor | None) -> Tensor:
        local = None if self.upsampling is None else self.upsampling(context)
        cache, whitening = SampleCache(self.stack, num_sounds, local), self.whitening
        predictor = Everywhere(self.linear) if whitening is None else ByMel(whitening.predictors(context))
        past, drawn = self.last.bias.new_zeros(num_sounds, predictor.order + length), []
        inputs = past.new_zeros(num_sounds, self.stack.first.in_channels)
        for place in range(length):
            linear = predictor(past[:, place : place + predictor.order], place)
            parameters = self.head(cache.step(inputs)[:, :, None], linear)
            drawn.append(choose(self.distribution(parameters), channel=0, row=0, column=place))
            x = to_unit(drawn[-1], self.spec.num_levels)
            past[:, predictor.order + place] = x
            inputs = self.inputs(x[:, None, None], linear)[:, :, 0]
        return torch.stack(drawn, 1)[:, None]

    @property
    def nfe(self) -> int:
        return self.spec.shape[1] * self.sampler.predictions


def quantile(distribution: DiscretisedLogisticMixture, component: Tensor, place: Tensor) -> Tensor:
    """The level (N,) of one sample that two numbers (N,) in (0, 1) choose: a component by the sum of the weights up to it, and
    its quantile. Of uniform numbers it is a sample."""
    parts = (distribution.logits, distribution.mean, distribution.log_scale)
    logits, mean, log_scale = (each.flatten(1) for each in parts)
    below = torch.softmax(logits.double(), 1).cumsum(1)[:, :-1]
    chosen = (component[:, None] >= below).sum(1, keepdim=True)
    x = mean.gather(1, chosen) + torch.exp(log_scale.gather(1, chosen)) * torch.logit(place)[:, None].to(mean.dtype)
    return nearest_level(x + 0.0 * (logits + mean + log_scale).sum(1, keepdim=True), distribution.num_levels).squeeze(1)
