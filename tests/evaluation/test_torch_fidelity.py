"""The suite against torch-fidelity's own `calculate_metrics` on the same saved images, with Inception weights at random.

FID is compared on the first four features: six images do not span the covariance of 2,048, where torch-fidelity takes
roots of rounding errors. Everything else is compared on all features.
"""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity import feature_extractor_inceptionv3 as theirs
from torch_fidelity.metric_isc import isc_features_to_metric

from genarena.evaluation.backbones import InceptionFeatures
from genarena.evaluation.weights import FeatureSettings
from genarena.files.progress import Bars
from genarena.metrics.inception_score import split_scores
from genarena.metrics.precision import Precision
from genarena.metrics.recall import Recall
from genarena.spec import DataSpec
from genarena.statistics.frechet import frechet_distance, gaussian_statistics
from genarena.statistics.kernel import cubic, two_sample
from genarena.statistics.manifolds import Manifolds, Reference

N, FIRST = 6, 4


class Inception(theirs.FeatureExtractorInceptionV3):
    """torch-fidelity's network, with the first features of its last layer as a layer of their own."""

    def __init__(self, name: str, features_list: list[str], **options: object) -> None:
        self.wanted = features_list
        super().__init__(name, ["2048", "logits_unbiased"], **options)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, logits = super().forward(x)
        layers = {"first": features[:, :FIRST], "2048": features, "logits_unbiased": logits}
        return tuple(layers[name] for name in self.wanted)

    def convert_features_tuple_to_dict(self, features: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
        return dict(zip(self.wanted, features, strict=True))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return "first", "2048", "logits_unbiased"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights drawn at random, of a size that lets images through to the logits."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs.torch, "load", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = theirs.FeatureExtractorInceptionV3("reference", ["2048"], str(path))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    torch.nn.init.normal_(network.fc.weight, std=1.0)
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images() -> dict[str, torch.Tensor]:
    """Noise, plain colours and pale noise, mixed so that precision and recall are neither 0 nor 1."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (N, 3, 6, 6), generator=generator, dtype=torch.uint8)
    plain = torch.randint(256, (N, 3, 1, 1), generator=generator, dtype=torch.uint8).expand(-1, -1, 6, 6)
    pale = noise // 2 + 64
    return {
        "fake": torch.cat([noise[[1]], plain[[3, 5]], pale[[0, 3, 5]]]),
        "real": torch.cat([noise[[0, 2, 4]], plain[[0, 2, 4]]]),
    }


@pytest.fixture(scope="module")
def reference(weights: Path, images: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder = tmp_path_factory.mktemp("images")
    for kind, rows in images.items():
        (folder / kind).mkdir()
        for number, row in enumerate(rows):
            Image.fromarray(row.permute(1, 2, 0).contiguous().numpy()).save(folder / kind / f"{number}.png")
    register_feature_extractor("inception-and-first", Inception)
    return calculate_metrics(
        input1=str(folder / "fake"),
        input2=str(folder / "real"),
        cuda=False,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="inception-and-first",
        feature_extractor_weights_path=str(weights),
        feature_layer_isc="logits_unbiased",
        feature_layer_fid="first",
        feature_layer_kid="2048",
        feature_layer_prc="2048",
        isc_splits=1,
        kid_subsets=1,
        kid_subset_size=N,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )


@pytest.fixture(scope="module")
def ours(weights: Path, images: dict) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    settings = FeatureSettings(inception_weights=str(weights))
    inception = InceptionFeatures(settings, DataSpec((3, 6, 6), 256), torch.device("cpu"))
    bars = Bars(shown=False)
    return {kind: inception.features_and_logits(rows, bars) for kind, rows in images.items()}


def test_fid(ours: dict, reference: dict) -> None:
    real, fake = (gaussian_statistics(ours[kind][0][:, :FIRST]) for kind in ("real", "fake"))
    assert frechet_distance(*real, *fake) == pytest.approx(reference["frechet_inception_distance"], rel=1e-6)


def test_kid(ours: dict, reference: dict) -> None:
    value = two_sample(ours["real"][0], ours["fake"][0], cubic).value
    assert value == pytest.approx(reference["kernel_inception_distance_mean"], rel=1e-6)


def test_inception_score(ours: dict, reference: dict) -> None:
    assert reference["inception_score_mean"] > 1.02  # the images look different to this network
    value = split_scores(ours["fake"][1], splits=1).mean().item()
    assert value == pytest.approx(reference["inception_score_mean"], rel=1e-6)


def test_precision_and_recall(ours: dict, reference: dict) -> None:
    for metric, key in ((Precision(), "precision"), (Recall(), "recall")):
        metric.update(Manifolds(ours["real"][0], ours["fake"][0]), Reference(None))
        assert metric.compute() == pytest.approx(reference[key], rel=1e-6)
    assert 0.0 < reference["precision"] < reference["recall"] < 1.0  # so that neither order nor orientation is in doubt


def test_splits_of_the_inception_score() -> None:
    logits = 3.0 * torch.randn(57, 30, generator=torch.Generator().manual_seed(0))
    expected = isc_features_to_metric(logits, splits=10, shuffle=False)
    scores = split_scores(logits)
    assert scores.mean().item() == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert scores.std(correction=0).item() == pytest.approx(expected["inception_score_std"], rel=1e-9)
