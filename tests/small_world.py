"""A data set, a model and small stand-ins for the large networks, so that every metric takes only seconds."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.evaluation import features
from genarena.evaluation.asked import load_metric
from genarena.evaluation.backbones import BACKBONES
from genarena.evaluation.evidence.examples import Examples
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import PUBLISHED
from genarena.likelihood import Likelihood, Parts
from genarena.metrics import names
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Emits, Integrates, Weighs
from genarena.models.splitting import Splits
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 8, 8), 16, 2)
SETTINGS = EvaluationSettings()
SIZES = {"evidence.samples.num_samples": 300, "evidence.examples.num_test": 200}
EVIDENCE = {Samples: Samples.Settings(num_samples=300), Examples: Examples.Settings(num_test=200)}
OPTIONS = SIZES | {
    "metric.iw_nll_nats.num_test": 20,
    "metric.iw_bounds.k": [1, 5],
    "evidence.probability_flow.num_test": 20,
    "metric.ais_nll_nats.steps": 5,
}


class Projection(nn.Module):
    """Replaces a large network: features from a fixed random projection of the pixels, and the first 10 of them as logits."""

    def __init__(self, seed: int, num_features: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weight", torch.randn(3 * 64, num_features, generator=generator) / 100.0)

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        hidden = (rgb.float().flatten(1) @ self.weight).relu()
        return hidden, hidden[:, :10]


class Halves(ArenaDataModule):
    """Noise images of two classes; in class 1 the upper half is brighter."""

    name = "halves-of-a-small-world"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 8, (530, *self.spec.shape), generator=generator, dtype=torch.uint8)
        y = torch.randint(2, (530,), generator=generator)
        x[y == 1, :, :4] += 7
        return tuple(Split(x, y)[part] for part in (slice(0, 300), slice(300, 330), slice(330, 530)))


class Drawn(GenerativeModel, Weighs, Integrates, Emits, Splits):
    """Returns stored samples in their order. Has every capability that metrics need; all results are deterministic."""

    family = "baseline"
    likelihood = Likelihood.LOWER_BOUND
    paper = ""
    latent_dim = 2

    def __init__(self, samples: Tensor) -> None:
        super().__init__(SPEC)
        self.samples, self.given = samples, 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        start, self.given = self.given, (self.given + num_samples) % len(self.samples)
        return self.samples[start : start + num_samples]

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return -self.spec.num_dims * math.log(self.spec.num_levels) - 0.01 * x.float().flatten(1).sum(1)

    def log_weights(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        return self.log_prob(x).expand(num_samples, -1)

    def ode_log_prob(
        self, x: Tensor, tolerance: float, num_probes: int, dequantisation: str, y: Tensor | None = None
    ) -> tuple[Tensor, dict]:
        return self.log_prob(x), {"method": "ODE", "nfe": 7}

    def parts(self, x: Tensor, y: Tensor | None = None) -> Parts:
        flat = x.double().flatten(1)
        return Parts(flat[:, 2], flat[:, :2], flat[:, :2], (1, 1))

    def information(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return 0.01 * x.double().flatten(1).mean(1)

    def emit(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return 0.0 * z[:, :1, None, None].expand(-1, *self.spec.shape)


def some_samples() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 12, (300, *SPEC.shape), generator=generator, dtype=torch.uint8)


def furnished(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Halves:
    """The data, set up. Also sets an empty cache, replaces the large networks by small ones (with weight files that the
    environment variables name), and lowers the number of examples that metrics require."""
    monkeypatch.setenv("GENARENA_CACHE", str(folder / "cache"))
    monkeypatch.setitem(features.RECIPE, "examples", 2000)
    for name in names():
        monkeypatch.setattr(load_metric(name), "min_examples", 1)
        monkeypatch.setattr(load_metric(name), "min_samples", 1)
    for seed, backbone in enumerate(BACKBONES.values()):
        network = Projection(seed, 24)
        monkeypatch.setattr(backbone, "load", lambda self, path, network=network: network)
        monkeypatch.setattr(backbone, "forward", lambda self, rgb: self.network(rgb))
        monkeypatch.setattr(backbone, "library", "none", raising=False)
        (folder / backbone.name).write_text(backbone.name)
        monkeypatch.setenv(PUBLISHED[backbone.name].variable, str(folder / backbone.name))
    module = Halves(SPEC)
    module.setup()
    return module
