"""One Gaussian for all frames of speech, whatever is said: the floor of models of mel spectrograms.

p(x) = q (1 - q)^(T - 1) prod_t N(x_t; m, C), T the frames of a clip: mean, covariance and length are those of the training
clips, in closed form (a sanity check, not a paper). A model that needs more nats for a frame has learnt nothing of the text.
"""

import math

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.base import GenerativeModel
from genarena.options.values import Positive
from genarena.spec import MEL_BANDS, Batch, DataSpec
from genarena.statistics import mel
from genarena.training.module import Training


class GaussianFrames(GenerativeModel):
    """log p(x) = log q + (T - 1) log(1 - q) + sum_t log N(x_t; m, C),  q = clips / frames,  C = covariance or its diagonal.

    shrinkage: weight of the average variance, in frames. Raises ValueError for data that is no mel spectrograms, and for
    another covariance than full or diagonal.
    """

    family = "baseline"
    takes_sound = True
    takes_images = False
    takes_mels = True
    likelihood = Likelihood.EXACT
    paper = "none"
    max_epochs = 1

    def __init__(
        self, spec: DataSpec, training: Training | None = None, covariance: str = "full", shrinkage: Positive = 1.0
    ) -> None:
        super().__init__(spec, training)
        if covariance not in ("full", "diagonal"):
            raise ValueError(f"covariance={covariance!r}: expected full or diagonal")
        self.is_full, self.shrinkage = covariance == "full", shrinkage
        for name, shape in {
            "clips": (),
            "frames": (),
            "sums": (MEL_BANDS,),
            "products": (MEL_BANDS, MEL_BANDS),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    def observe(self, batch: Batch) -> None:
        heard = self._heard(batch.x)
        frames = batch.x.mT[heard].double()
        self.clips += len(batch.x)
        self.frames += len(frames)
        self.sums += frames.sum(0)
        self.products += frames.T @ frames

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """`loss` is 0: nothing is minimised."""
        return {"loss": torch.zeros((), device=self.device)}

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """(N,) nats of log-mels x (N, 80, frames), whose sound ends with the last frame above silence."""
        mean, factor = self._moments()
        heard, lengths = self._heard(x), mel.lengths(x).double()
        white = torch.linalg.solve_triangular(factor, x.double() - mean[:, None], upper=False)
        constant = factor.diagonal().log().sum() + 0.5 * MEL_BANDS * math.log(2.0 * math.pi)
        frames = ((-0.5 * white.square().sum(1) - constant) * heard).sum(1)
        return (frames + self._end().log() + (lengths - 1.0) * torch.log1p(-self._end())).float()

    @torch.no_grad()
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, 80, frames): what is longer is cut off, silence stands behind what is shorter."""
        (mean, factor), frames = self._moments(), self.spec.shape[1]
        noise = torch.randn(num_samples, MEL_BANDS, frames, dtype=torch.float64, device=self.device)
        chance = torch.rand(num_samples, dtype=torch.float64, device=self.device)
        lengths = 1.0 + (torch.log1p(-chance) / torch.log1p(-self._end())).floor()
        heard = torch.arange(frames, device=self.device) < lengths[:, None]
        silence = math.log(mel.FLOOR)
        return torch.where(heard[:, None], (mean[:, None] + factor @ noise).clamp_min(silence), silence).float()

    @staticmethod
    def _heard(x: Tensor) -> Tensor:
        return torch.arange(x.shape[2], device=x.device) < mel.lengths(x)[:, None]

    def _moments(self) -> tuple[Tensor, Tensor]:
        """m (80,), and the triangular factor of C (80, 80), float64."""
        count = self.frames.clamp_min(1.0)
        mean = self.sums / count
        scatter = self.products - count * mean[:, None] * mean
        average = (scatter.diagonal().mean() / count).clamp_min(1e-6) if self.frames else scatter.new_ones(())
        covariance = scatter + self.shrinkage * average * torch.eye(MEL_BANDS, dtype=mean.dtype, device=mean.device)
        covariance = covariance / (self.frames + self.shrinkage)
        return mean, torch.linalg.cholesky(covariance if self.is_full else covariance.diagonal().diag())

    def _end(self) -> Tensor:
        """q, of a clip to end after a frame."""
        return (self.clips / self.frames.clamp_min(1.0)).clamp(1e-6, 0.5) if self.frames else self.frames + 0.5
