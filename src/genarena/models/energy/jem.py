"""Joint energy-based model: a classifier whose logits are also an energy (Grathwohl et al. 2020, arXiv 1912.03263).

Differs from the paper: a Gaussian reference measure, levels drawn from P(x | v) and the chains are those of `ebm`, which this
model extends; noise and step size of a chain agree, with an explicit temperature; samples start at noise, given their label.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.models.classifying import Classifies
from genarena.models.energy.ebm import EBM
from genarena.models.energy.langevin import Langevin
from genarena.models.energy.replay_buffer import ReplayBuffer
from genarena.nets.conditioning import given
from genarena.nets.energy import energy_of
from genarena.options.values import Count, NonNegative, Positive, Share
from genarena.spec import Batch, DataSpec
from genarena.training.module import Training


class JEM(EBM, Classifies):
    """p(v, y) = N(v; m, S) exp(f(v)[y] / T) / Z,   minimise -log p(v) - log p(y | v),   p(y | v) = softmax(f(v))[y].

    f gives a logit per label. The tilt of p(v) is -logsumexp_y f(v)[y] / T, that of p(v | y) is -f(v)[y] / T; the classifier is
    that of the density where T = 1. The first term is contrastive divergence with chains of p(v)
    in a replay buffer, the second cross entropy. A model of p(x | y): it needs the labels.
    classifier_weight: of the cross entropy. The others are options of `EBM`.
    """

    paper = "1912.03263"
    needs_condition = True
    condition_kinds = ("label",)

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        hidden_channels: Count = 16,
        num_blocks: Count = 1,
        classifier_weight: NonNegative = 1.0,
        data_noise: NonNegative | None = None,
        temperature: Positive = 1.0,
        langevin_steps: Count = 10,
        step_size: Positive | None = None,
        drift_clamp: Positive | None = 0.3,
        clip: bool = False,
        buffer_size: Count = 8192,
        restart: Share = 0.05,
        energy_penalty: NonNegative = 0.01,
        max_gap: float = 0.3,
        sampler: Langevin = Langevin(),  # noqa: B008 - frozen
    ) -> None:
        chains = (langevin_steps, step_size, drift_clamp, clip, 1, restart, energy_penalty, max_gap)
        super().__init__(
            spec, training, hidden_channels, num_blocks, False, data_noise, temperature, *chains, sampler=sampler
        )
        self.classifier_weight = classifier_weight
        body = energy_of(spec.shape, hidden_channels, num_blocks, spectral=False, context_features=0)
        self.net = JointEnergy(body, spec.condition.size)
        dtype = torch.float16 if spec.is_discrete else torch.float32
        self.buffer = ReplayBuffer(spec.shape, buffer_size, restart, dtype=dtype)  # of p(v): chains have no labels

    def context(self, y: Tensor | None, num_examples: int) -> Tensor | None:
        """Labels as one-hot vectors; None for p(v), which needs no dropout of labels."""
        return None if y is None else super().context(y, num_examples)

    def logits(self, x: Tensor) -> Tensor:
        """log p(y | x) of data (N, *shape) up to a constant, (N, labels): the classifier, of data with the model's noise."""
        return self.net.logits(self.noisy(x)).float()

    def class_log_prob(self, x: Tensor) -> Tensor:
        return self.logits(x).log_softmax(1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        terms, found = super().loss(Batch(batch.x)), self.classified(batch)
        terms["loss"] = terms["loss"] + self.classifier_weight * found["cross_entropy"]
        return terms | {name: value.detach() for name, value in found.items()}

    def classified(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats, and accuracy."""
        logits, y = self.logits(batch.x), given(self.conditioning, len(batch.x), batch.y)
        return {"cross_entropy": F.cross_entropy(logits, y), "accuracy": (logits.argmax(1) == y).float().mean()}

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        return super().validate(Batch(batch.x)) | self.classified(batch)

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        raise TypeError("JEM has no likelihood: every label has a constant of its own")


class JointEnergy(nn.Module):
    """E(v) = -logsumexp_y f(v)[y], or -f(v)[y] of the label in a one-hot context (N, labels); (N, *shape) to (N,)."""

    def __init__(self, body: nn.Module, num_labels: int) -> None:
        super().__init__()
        self.features = body.features
        self.head = nn.Linear(body.head.in_features, num_labels)

    def logits(self, v: Tensor) -> Tensor:
        """f(v) (N, labels), the last layer in float32."""
        features = self.features(v)
        with torch.autocast(v.device.type, enabled=False):
            return self.head(features.float())

    def forward(self, v: Tensor, context: Tensor | None = None) -> Tensor:
        logits = self.logits(v)
        return -logits.logsumexp(1) if context is None else -(logits * context).sum(1)
