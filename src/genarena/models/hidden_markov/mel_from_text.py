"""Mel spectrograms from texts: a Gaussian for each frame, given the characters and how long each lasts.

Kim et al. 2020 (Glow-TTS, arXiv 2005.11129): text encoder, monotonic alignment search, duration predictor behind a stopped
gradient. No model from outside aligns the text. Attention-free: all networks are convolutions.

Differs from the paper: the decoder is no flow but convolutions over the frames, and the frames are Gaussian around its output;
the encoder has no attention; durations have probabilities, so the objective is a bound on log p(x | y); a flat start, as for
hidden Markov models: first all characters of a clip last equally long. Beside the decoder's, a character has a Gaussian of its
own, with which the alignment is found, as the encoder of Grad-TTS has (Popov et al. 2021, arXiv 2105.06337).
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.models.hidden_markov import frame_durations
from genarena.models.pronouncing import Pronounces
from genarena.models.sampler import Temperature
from genarena.nets.characters import CharacterEncoder, DurationPredictor, FrameDecoder, gathered
from genarena.nets.conditioning import MEL_MEAN, MEL_STD
from genarena.options.values import Count, Share, Whole
from genarena.spec import MEL_BANDS, Batch, DataSpec
from genarena.statistics import alignment, mel
from genarena.training.module import Training

SHARE, LEAST = 0.02, 1e-3  # of a batch in S; what is added to the variances of S
RATE = (
    10.0  # of means and scales of characters: a step of Adam changes each by its rate, and they have a long way to go
)
LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class Aligned(NamedTuple):
    """x, mean (N, 80, T) scaled; tokens, durations (N, L); h (N, C, L); scores (N, L, T); owner, heard (N, T)."""

    x: Tensor
    tokens: Tensor
    h: Tensor
    scores: Tensor
    durations: Tensor
    owner: Tensor
    heard: Tensor
    mean: Tensor


class MelFromText(GenerativeModel, Pronounces):
    """log p(x | y) >= log p(d | y) + sum_t log N(x_t; m_t, S),  m_t = mu_a(t) + g(h, d)_t,  h = encoder(y),

    d = argmax_d sum_t log N(x_t; mu_a(t), diag s^2) by monotonic alignment search, a(t) the character of frame t under d. The
    loss is minus this bound, minus the log-density under which d was found; p(d | y) trains the duration predictor alone. mu_i
    is the mean of a character wherever it stands: with few clips, means that knew their neighbours would keep the alignment
    that they started with. Where training batches have durations beside the characters (`data.durations`), those are d.

    channels: of the networks. *_layers, *_kernel: of convolutions; without a decoder each character has one mean.
    covariance: S, one for all frames, the moving average of what the means leave: full over the bands, or diagonal.
    flat_start: share of the training with equal durations.
    Raises ValueError for data that is no mel spectrograms, an unknown covariance, and a flat start of the whole training.
    """

    family = "hidden_markov"
    takes_sound = True
    takes_images = False
    takes_mels = True
    conditional = True
    condition_kinds = ("characters",)
    needs_condition = True
    likelihood = Likelihood.LOWER_BOUND
    paper = "2005.11129"
    samplers = Temperature

    def __init__(
        self,
        spec: DataSpec,
        sampler: Temperature | None = None,
        training: Training | None = None,
        channels: Count = 64,
        encoder_layers: Whole = 2,
        duration_layers: Whole = 2,
        decoder_layers: Whole = 4,
        encoder_kernel: Count = 5,
        decoder_kernel: Count = 3,
        dilation_cycle: Count = 3,
        dropout: Share = 0.3,
        covariance: str = "full",
        flat_start: Share = 0.1,
    ) -> None:
        super().__init__(spec, training)
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"covariance={covariance!r}: expected full or diagonal")
        if flat_start >= 1.0:
            raise ValueError(f"flat_start={flat_start:g}: expected below 1, else nothing is ever aligned")
        self.sampler, self.ramp, self.flat_start = sampler or Temperature(), flat_start, flat_start
        size = spec.condition.size
        self.encoder = CharacterEncoder(size, channels, encoder_layers, encoder_kernel, dropout)
        self.character_mean = nn.Parameter(torch.zeros(size, MEL_BANDS))  # mu / RATE
        self.character_scale = nn.Parameter(torch.zeros(MEL_BANDS))  # log s / RATE
        self.predictor = DurationPredictor(channels, duration_layers, encoder_kernel, dropout)
        self.duration_spread = nn.Parameter(torch.zeros(()))  # log of the deviation / RATE
        self.decoder = (
            FrameDecoder(channels, MEL_BANDS, decoder_layers, decoder_kernel, dilation_cycle, dropout)
            if decoder_layers
            else None
        )
        if self.decoder is None:  # then nothing learns from h: it is a fixed code of each character
            self.encoder.requires_grad_(False)
        self.is_full = covariance == "full"
        self.register_buffer("covariance", torch.eye(MEL_BANDS))  # S, scaled
        self.register_buffer("updates", torch.zeros(()))

    # -- the bound ----------------------------------------------------------------------------------------------------

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """In nats per frame; `alignment`: of the Gaussians of the characters, `durations`: -log p(d | y) over the frames."""
        flat = self.training and self.progress < self.flat_start
        parts, num_frames = self._parts(*batch, flat), mel.lengths(batch.x).sum()
        terms = {name: -part.sum() / num_frames for name, part in parts.items()}
        return {"loss": sum(terms.values()), **terms}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats of log-mels x (N, 80, frames), whose sound ends with the last frame above silence; a bound without
        chance. Raises ValueError for a text with more characters than its mel has frames."""
        parts = self._parts(x, y, flat=False)
        return parts["frames"] + parts["durations"]

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        return {"method": "bound by one alignment, monotonic search; without chance"}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.loss(batch)
        return {**terms, "objective": terms["frames"] + terms["durations"]}

    def _parts(self, x: Tensor, y: Tensor | None, flat: bool) -> dict[str, Tensor]:
        """Log-densities (N,) nats: of the frames, of the durations, and of the frames under the character's own Gaussians."""
        found = self._aligned(x, y, flat)
        scaling = MEL_BANDS * math.log(MEL_STD)  # from scaled frames to those of the data
        own = found.scores.gather(1, found.owner[:, None])[:, 0]
        frames = self.frame_log_prob(found.x - found.mean)
        if self.training:
            self._learn_covariance((found.x - found.mean).detach(), found.heard)
        return {
            "frames": ((frames - scaling) * found.heard).sum(1),
            "durations": self.duration_log_prob(found.durations, found.h, found.tokens).sum(1),
            "alignment": ((own - scaling) * found.heard).sum(1),
        }

    def _aligned(self, x: Tensor, y: Tensor | None, flat: bool) -> Aligned:
        y, told = (y[:, 0], y[:, 1]) if y is not None and y.dim() == 3 else (y, None)
        tokens, frames = self.context(y, len(x)), mel.lengths(x)
        letters, x = (tokens != 0).sum(1), (x[:, :, : int(frames.max())] - MEL_MEAN) / MEL_STD
        tokens = tokens[:, : int(letters.max())]
        h, means = self.encoder(tokens), self.own_means(tokens)
        scores = self.scores(x, means)
        if told is not None:
            durations = told[:, : tokens.shape[1]]
        elif flat:
            durations = alignment.equal(letters, frames, tokens.shape[1])
        else:
            durations = alignment.monotonic(scores.detach(), letters, frames)
        owner, before = alignment.owners(durations, x.shape[2])
        heard = torch.arange(x.shape[2], device=x.device) < frames[:, None]
        mean = self._mean(h, means, owner, before, durations, heard)
        return Aligned(x, tokens, h, scores, durations, owner, heard, mean)

    @torch.no_grad()
    def align(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Durations (N, L) of the characters in log-mels x (N, 80, frames), and the mean (N, 80, T) that the model has for
        these frames, T the most frames of a clip; silence where a clip has none."""
        found = self._aligned(x, y, flat=False)
        mean = MEL_STD * found.mean + MEL_MEAN
        return found.durations, torch.where(found.heard[:, None], mean, math.log(mel.FLOOR))

    def own_means(self, tokens: Tensor) -> Tensor:
        """mu (N, 80, L), scaled, of tokens (N, L)."""
        return (RATE * self.character_mean)[tokens].mT

    def scores(self, x: Tensor, means: Tensor) -> Tensor:
        """log N(x_t; mu_i, diag s^2) (N, L, T) nats of scaled frames x (N, 80, T) and means (N, 80, L)."""
        log_scale = RATE * self.character_scale
        precision = (-2.0 * log_scale).exp()[:, None]
        squares = (precision * means.square()).sum(1)[:, :, None] + (precision * x.square()).sum(1)[:, None]
        distances = squares - 2.0 * (precision * means).mT @ x
        return -0.5 * distances - log_scale.sum() - MEL_BANDS * LOG_SQRT_2PI

    def frame_log_prob(self, residual: Tensor) -> Tensor:
        """log N(r_t; 0, S) (N, T) nats of scaled residuals (N, 80, T)."""
        factor = self.factor()
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        return -factor.diagonal().log().sum() - 0.5 * white.square().sum(1) - MEL_BANDS * LOG_SQRT_2PI

    def duration_log_prob(self, durations: Tensor, h: Tensor, tokens: Tensor) -> Tensor:
        """log P(d_i | y) (N, L) nats, 0 for padding. No gradient goes into h."""
        mean = self._log_duration(h, tokens)
        found = frame_durations.log_prob(durations.clamp_min(1).float(), mean, RATE * self.duration_spread)
        return torch.where(tokens != 0, found, 0.0)

    def _log_duration(self, h: Tensor, tokens: Tensor) -> Tensor:
        """(N, L) the middle of log d."""
        return self.predictor(h.detach(), (tokens != 0)[:, None].float())

    def _mean(
        self, h: Tensor, means: Tensor, owner: Tensor, before: Tensor, durations: Tensor, heard: Tensor
    ) -> Tensor:
        """m (N, 80, T), scaled."""
        own = gathered(means, owner)
        return own if self.decoder is None else own + self.decoder(h, owner, before, durations, heard[:, None].float())

    def factor(self) -> Tensor:
        """L (80, 80), lower triangular, S = L L^T, scaled."""
        return torch.linalg.cholesky(self.covariance + LEAST * torch.eye(MEL_BANDS, device=self.device))

    def _learn_covariance(self, residual: Tensor, heard: Tensor) -> None:
        """The S of the largest likelihood, given the means, as a moving average over batches."""
        frames = residual.mT[heard]
        moment = frames.T @ frames / len(frames)
        self.updates += 1
        share = max(SHARE, 1.0 / self.updates.item())
        self.covariance.lerp_(moment if self.is_full else moment.diagonal().diag(), share)

    # -- speech -------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, 80, frames): what is longer is cut off, silence stands behind what is shorter."""
        tokens, temperature = self.context(y, num_samples), self.sampler.temperature
        made = self.pronounce(tokens, self.durations(tokens, temperature), temperature)
        return mel.padded(made, self.spec.shape[1])

    @torch.no_grad()
    def durations(self, y: Tensor, temperature: float = 0.0, speed: float = 1.0) -> Tensor:
        mean = self._log_duration(self.encoder(y), y) - math.log(speed)
        return frame_durations.draw(mean, RATE * self.duration_spread, temperature) * (y != 0)

    @torch.no_grad()
    def pronounce(self, y: Tensor, durations: Tensor, temperature: float = 0.0) -> Tensor:
        h, means, lengths = self.encoder(y), self.own_means(y), durations.sum(1)
        owner, before = alignment.owners(durations, int(lengths.max()))
        heard = torch.arange(owner.shape[1], device=y.device) < lengths[:, None]
        x = self._mean(h, means, owner, before, durations, heard)
        if temperature:
            white = torch.randn_like(x)
            x = x + temperature * self.factor() @ white
        silence = math.log(mel.FLOOR)
        return torch.where(heard[:, None], (MEL_STD * x + MEL_MEAN).clamp_min(silence), silence)
