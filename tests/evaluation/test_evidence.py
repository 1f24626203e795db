"""Features: which network, once per data set and weights, whatever the order of the samples."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.errors import UserError
from genarena.evaluation import code
from genarena.evaluation.backbones import InceptionFeatures
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence import chosen_space
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.protocol import protocol
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import Subject
from genarena.evaluation.weights import PUBLISHED, FeatureSettings, sha256
from genarena.files.cache import cache_folder
from genarena.files.progress import Bars
from tests.small_world import EVIDENCE, SETTINGS, SIZES, Drawn, Halves, furnished, some_samples


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Halves:
    return furnished(monkeypatch, tmp_path)


@pytest.fixture
def samples() -> Tensor:
    return some_samples()


def run(
    samples: Tensor,
    data: ArenaDataModule,
    metrics: list[str],
    settings: EvaluationSettings = SETTINGS,
    options: dict = SIZES,
) -> dict:
    return evaluate(Drawn(samples).eval(), data, metrics, settings, options, progress=False).metrics


def test_records_name_the_weights(data: Halves, samples: Tensor) -> None:
    metrics = run(samples, data, ["fid", "inception_score"])
    assert metrics["fid"]["backbone"]["weights"] == sha256(FeatureSettings().path("inception"))
    assert metrics["inception_score"]["splits"] == 10


def test_real_features_are_computed_once_per_weights(
    data: Halves, samples: Tensor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extracted = []
    original = InceptionFeatures._outputs
    monkeypatch.setattr(
        InceptionFeatures, "_outputs", lambda self, x, bars: extracted.append(len(x)) or original(self, x, bars)
    )
    first = run(samples, data, ["fid", "kid", "inception_score"])
    assert extracted == [200, 300, 300]  # test split, samples, training examples in their place
    extracted.clear()
    assert run(samples, data, ["fid"])["fid"]["value"] == first["fid"]["value"]
    assert extracted == [300]
    (tmp_path / "inception").write_text("other weights")
    extracted.clear()
    run(samples, data, ["fid"])
    assert extracted == [200, 300, 300]
    run(samples, data, ["fid"], options=SIZES | {"evidence.examples.num_test": 150})
    extracted.clear()
    version = code.version
    monkeypatch.setattr(code, "version", lambda name: "99" if name == "torch-fidelity" else version(name))
    run(samples, data, ["fid"])
    assert extracted == [200, 300, 300]  # by another version of the library
    assert len([path for path in cache_folder().rglob("features-inception-*") if path.suffix != ".sha256"]) == 7
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
    def found(metric: str, settings: EvaluationSettings = SETTINGS) -> str:
        return protocol([metric], settings)["metrics"][metric]["id"]

    ids = {found("fid")}
    (tmp_path / "inception").write_text("other weights")
    ids.add(found("fid"))
    monkeypatch.delenv("GENARENA_INCEPTION")
    ids.add(found("fid"))
    assert len(ids) == 3
    named = dataclasses.replace(SETTINGS, features=FeatureSettings(inception_weights=str(tmp_path / "inception")))
    assert found("fid", named) in ids  # a path is not part of it, the content is
    in_clip = dataclasses.replace(SETTINGS, features=FeatureSettings(space="clip"))
    assert found("recall", in_clip) != found("recall")
    assert found("fid", in_clip) == found("fid")  # nothing there looks at the space
    absent = dataclasses.replace(SETTINGS, features=FeatureSettings(inception_weights="nowhere"))
    with pytest.raises(UserError, match="features.inception_weights=nowhere"):
        protocol(["fid"], absent)
    assert found("recall", absent) == found("recall")


def test_features_that_are_not_finite_take_the_value_away_and_no_other(
    data: Halves, samples: Tensor, monkeypatch
) -> None:
    def broken(self: InceptionFeatures, rgb: Tensor) -> tuple[Tensor, Tensor]:
        hidden, logits = self.network(rgb)
        hidden[:, 3] /= rgb[:, 0, 0, 0].float() - rgb[0, 0, 0, 0].float()
        return hidden, logits

    monkeypatch.setattr(InceptionFeatures, "forward", broken)
    metrics = run(samples, data, ["kid", "vendi"])
    assert re.match(
        r"ArenaError: real features: \d+ of 200 rows are not finite, the first is row \d+", metrics["kid"]["reason"]
    )
    assert (metrics["kid"]["value"], metrics["kid"]["failed"]) == (None, True)
    assert metrics["vendi"]["value"] > 1.0


def test_the_order_by_content_is_a_permutation_of_content(data: Halves, samples: Tensor) -> None:
    def ordered(x: Tensor) -> Tensor:
        evidence = Evidence(Subject(Drawn(x).eval(), data, SETTINGS, Bars(shown=False)), EVIDENCE)
        order = evidence.get("fake_order")
        assert sorted(order.tolist()) == list(range(300))
        return evidence.get("fake")[order]

    assert torch.equal(ordered(samples), ordered(samples.flip(0)))
    assert not torch.equal(ordered(samples), samples)


def test_a_large_training_set_is_not_shown_to_a_large_network_unasked(
    data: Halves, samples: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen_space, "MOST_UNASKED", 299)
    monkeypatch.setattr(data, "spec", dataclasses.replace(data.spec, num_classes=None))
    for network in ("dinov2", "inception"):
        monkeypatch.delenv(PUBLISHED[network].variable)
    metrics = run(samples, data, ["recall", "authpct"])
    assert metrics["recall"]["space"] == "efficientnet" and metrics["recall"]["value"] is not None
    assert "features.space=efficientnet" in metrics["authpct"]["reason"]
    asked = dataclasses.replace(SETTINGS, features=FeatureSettings(space="efficientnet"))
    assert run(samples, data, ["authpct"], asked)["authpct"]["value"] is not None


def test_data_with_attributes_has_metrics_of_samples_and_none_of_classes(data: Halves, samples: Tensor) -> None:
    """As CelebA, which has 40 attributes and no labels: the classifiers learn the attributes."""
    for name in ("train", "val", "test"):
        split = getattr(data, name)
        setattr(data, name, Split(split.x, torch.stack([split.y, 1 - split.y], dim=1)))
    spec = dataclasses.replace(data.spec, num_classes=None, num_attributes=2)
    data.spec, data._checksum = spec, data._hash()
    model = Drawn(samples).eval()
    model.spec = spec
    names = ["fd_domain", "recall", "class_histogram_kl"]
    metrics = evaluate(model, data, names, SETTINGS, SIZES, progress=False).metrics
    assert metrics["fd_domain"]["value"] > 0.0 and len(metrics["fd_domain"]["per_classifier"]) == 4
    assert metrics["recall"]["space"] == "domain" and metrics["recall"]["value"] is not None
    assert metrics["recall"]["backbone"]["test_accuracy"] > 0.9
    assert "has attributes, and no classes" in metrics["class_histogram_kl"]["reason"]
