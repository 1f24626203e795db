"""Features: which network, once per data set and weights, whatever the order of the samples."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import ArenaError, UserError
from genarena.evaluation import features
from genarena.evaluation.backbones import CLIPFeatures, DINOv2Features, InceptionFeatures
from genarena.evaluation.evaluate import evaluate, protocol
from genarena.evaluation.evidence import Evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.weights import PUBLISHED, FeatureSettings, sha256
from genarena.files.cache import cache_folder
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.metrics import fid_infinity, names
from genarena.metrics.fid_infinity import FIDInfinity
from genarena.models.base import GenerativeModel
from genarena.spec import Batch, DataSpec

SPEC = DataSpec((1, 8, 8), 16, 2)
SETTINGS = EvaluationSettings(num_samples=300, num_test=200, iw_num_test=20, batch_size=64)


class Projection(nn.Module):
    """Stands in for a large network: a fixed random projection of the pixels, and logits where they are asked for."""

    def __init__(self, seed: int, num_features: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("weight", torch.randn(3 * 64, num_features, generator=generator) / 100.0)
        self.calls = 0

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        hidden = (rgb.float().flatten(1) @ self.weight).relu()
        return hidden, hidden[:, :10]


class Halves(ArenaDataModule):
    """Noise with a brighter upper or lower half as its class."""

    name = "halves-of-evidence"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 8, (530, *self.spec.shape), generator=generator, dtype=torch.uint8)
        y = torch.randint(2, (530,), generator=generator)
        x[y == 1, :, :4] += 7
        return tuple(Split(x, y)[part] for part in (slice(0, 300), slice(300, 330), slice(330, 530)))


class Drawn(GenerativeModel):
    """Hands out stored samples, in the order given."""

    family = "baseline"
    likelihood = Likelihood.NONE
    paper = ""

    def __init__(self, samples: Tensor) -> None:
        super().__init__(SPEC)
        self.samples, self.given = samples, 0

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": torch.zeros(())}

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        start, self.given = self.given, (self.given + num_samples) % len(self.samples)
        return self.samples[start : start + num_samples]


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Halves:
    """Data, an empty cache, and small networks behind files of weights that the environment names."""
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(features.RECIPE, "examples", 2000)
    monkeypatch.setattr(fid_infinity, "SMALLEST", 100)
    monkeypatch.setattr(fid_infinity, "FEWEST_SAMPLES", 200)
    monkeypatch.setattr(FIDInfinity, "min_examples", 200)
    for seed, backbone in enumerate((InceptionFeatures, DINOv2Features, CLIPFeatures)):
        network = Projection(seed, 24)
        monkeypatch.setattr(backbone, "load", lambda self, path, network=network: network)
        monkeypatch.setattr(backbone, "forward", lambda self, rgb: self.network(rgb))
        (tmp_path / backbone.name).write_text(backbone.name)
        monkeypatch.setenv(PUBLISHED[backbone.name].variable, str(tmp_path / backbone.name))
    monkeypatch.setattr("genarena.metrics.fid.FrechetInceptionDistance.min_examples", 25)
    for name, metric in (("fd_dinov2", "FrechetDINOv2Distance"), ("fd_clip", "FrechetCLIPDistance")):
        monkeypatch.setattr(f"genarena.metrics.{name}.{metric}.min_examples", 25)
    for backbone in (DINOv2Features, CLIPFeatures):
        monkeypatch.setattr(backbone, "library", "none", raising=False)
    module = Halves(SPEC)
    module.setup()
    return module


@pytest.fixture
def samples() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 12, (300, *SPEC.shape), generator=generator, dtype=torch.uint8)


def run(samples: Tensor, data: ArenaDataModule, metrics: list[str], settings: EvaluationSettings = SETTINGS) -> dict:
    return evaluate(Drawn(samples).eval(), data, metrics, settings, progress=False).metrics


IMAGE_METRICS = [name for name in names() if not name.endswith(("_nats", "_per_dim", "_seconds", "_bounds"))]


def test_every_metric_has_a_value_and_says_where_from(data: Halves, samples: Tensor) -> None:
    metrics = run(samples, data, IMAGE_METRICS)
    assert {name for name in metrics if metrics[name]["value"] is None} == set()
    for name, entry in metrics.items():
        assert math.isfinite(entry["value"])
        assert entry["n"] == 300
        assert entry["seconds"] >= 0.0
        if name != "nearest_neighbour_ratio":
            assert {"name", "weights"} <= set(entry["backbone"])
    assert metrics["fid"]["backbone"]["weights"] == sha256(FeatureSettings().path("inception"))
    assert metrics["inception_score"]["splits"] == 10


def test_the_order_of_samples_and_the_batch_size_do_not_matter(data: Halves, samples: Tensor) -> None:
    first = run(samples, data, IMAGE_METRICS)
    shuffled = samples[torch.randperm(300, generator=torch.Generator().manual_seed(2))]
    second = run(shuffled, data, IMAGE_METRICS, dataclasses.replace(SETTINGS, batch_size=50))
    for name in IMAGE_METRICS:
        assert second[name]["value"] == pytest.approx(first[name]["value"], rel=1e-6), name


def test_real_features_are_computed_once_per_weights(
    data: Halves, samples: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extracted = []
    original = InceptionFeatures._outputs
    monkeypatch.setattr(
        InceptionFeatures, "_outputs", lambda self, x, bars: extracted.append(len(x)) or original(self, x, bars)
    )
    first = run(samples, data, ["fid", "kid", "inception_score"])
    assert extracted == [200, 300]  # test split, samples
    extracted.clear()
    assert run(samples, data, ["fid"])["fid"]["value"] == first["fid"]["value"]
    assert extracted == [300]
    (tmp_path / "inception").write_text("other weights")
    extracted.clear()
    run(samples, data, ["fid"])
    assert extracted == [200, 300]
    run(samples, data, ["fid"], dataclasses.replace(SETTINGS, num_test=150))
    assert len([path for path in cache_folder().rglob("features-inception-*") if path.suffix != ".sha256"]) == 3
    assert all(data.facts["id"] in path.parts for path in cache_folder().rglob("features-*"))


def test_space_moves_all_that_compare_features(data: Halves, samples: Tensor) -> None:
    metrics = ["precision", "recall", "density", "coverage", "vendi", "authpct", "c_t", "fd_domain"]
    there = run(samples, data, metrics, dataclasses.replace(SETTINGS, features=FeatureSettings(space="clip")))
    weights = {name: entry["backbone"]["weights"] for name, entry in there.items()}
    digest = sha256(FeatureSettings().path("clip"))
    assert weights.pop("fd_domain") != digest
    assert set(weights.values()) == {digest}
    domain = run(samples, data, metrics)
    assert domain["fd_domain"]["value"] == there["fd_domain"]["value"]
    assert domain["vendi"]["value"] != there["vendi"]["value"]


def test_protocol_follows_weights_and_space(data: Halves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = {protocol(["fid", "recall"], SETTINGS)["id"]}
    (tmp_path / "inception").write_text("other weights")
    ids.add(protocol(["fid", "recall"], SETTINGS)["id"])
    monkeypatch.delenv("GENARENA_INCEPTION")
    without = protocol(["fid", "recall"], SETTINGS)
    assert without["networks"]["inception"] == PUBLISHED["inception"].sha256
    ids |= {without["id"]}
    named = dataclasses.replace(SETTINGS, features=FeatureSettings(inception_weights=str(tmp_path / "inception")))
    assert protocol(["fid", "recall"], named)["id"] in ids  # a path is not part of it, the content is
    in_clip = dataclasses.replace(SETTINGS, features=FeatureSettings(space="clip"))
    ids.add(protocol(["fid", "recall"], in_clip)["id"])
    assert len(ids) == 4
    assert protocol(["fid"], in_clip)["id"] == protocol(["fid"], SETTINGS)["id"]  # nothing there looks at the space
    absent = dataclasses.replace(SETTINGS, features=FeatureSettings(inception_weights="nowhere"))
    with pytest.raises(UserError, match="features.inception_weights=nowhere"):
        protocol(["fid"], absent)
    protocol(["recall"], absent)


def test_features_that_are_not_finite_end_the_evaluation(data: Halves, samples: Tensor, monkeypatch) -> None:
    def broken(self: InceptionFeatures, rgb: Tensor) -> tuple[Tensor, Tensor]:
        hidden, logits = self.network(rgb)
        hidden[:, 3] /= rgb[:, 0, 0, 0].float() - rgb[0, 0, 0, 0].float()
        return hidden, logits

    monkeypatch.setattr(InceptionFeatures, "forward", broken)
    with pytest.raises(ArenaError, match=r"real features: \d+ of 200 rows are not finite, the first is row \d+"):
        run(samples, data, ["kid"])


def test_the_order_by_content_is_a_permutation_of_content(data: Halves, samples: Tensor) -> None:
    def ordered(x: Tensor) -> Tensor:
        evidence = Evidence(Drawn(x).eval(), data, SETTINGS, Bars(shown=False))
        assert sorted(evidence.fake_order.tolist()) == list(range(300))
        return evidence.fake[evidence.fake_order]

    assert torch.equal(ordered(samples), ordered(samples.flip(0)))
    assert not torch.equal(ordered(samples), samples)
