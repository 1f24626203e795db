"""Checks of the metrics of samples on sets whose answer is known: by counting, by a closed form, or by torch-fidelity."""

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.baseline.uniform import Uniform
from genarena.published.checks import Check, Given, by_evaluation, by_pieces, normal, of
from genarena.published.imported import ImportedSamples
from genarena.spec import DataSpec

PICTURES = DataSpec((1, 8, 8), 17, 10)
MANY = 1000  # samples, and test examples


@of("inception_score")
def inception_score_of_torch_fidelity() -> Iterator[Check]:
    """10 splits of the same logits in the same order."""
    from torch_fidelity.metric_isc import isc_features_to_metric

    logits = 2.0 * normal(5000, 50, seed=8)
    expected = isc_features_to_metric(logits, splits=10, shuffle=False)["inception_score_mean"]
    value = by_pieces("inception_score", fake_inception_logits=logits, fake_order=torch.arange(len(logits)))
    yield Check("inception score of 5,000 random logits", value, "torch-fidelity", expected, 1e-9 * expected)


@of("vendi")
def vendi_of_orthogonal_rows() -> Iterator[Check]:
    """Groups of equal rows, orthogonal to each other: exp of the entropy of their shares (definition 3.1)."""
    counts = torch.tensor([400, 300, 200, 100])
    rows = torch.eye(16, dtype=torch.float64)[:4].repeat_interleave(counts, 0)
    shares = counts / counts.sum()
    expected = math.exp(-(shares.double() * shares.double().log()).sum().item())
    value = by_pieces("vendi", fake=rows, spec=PICTURES)
    yield Check("Vendi score of 4 groups of equal rows", value, "exp(entropy of the shares)", expected, 1e-6)


@of("fd_domain", "fd_dinov2", "fd_clip", "fd_efficientnet")
def other_frechet_distances_of_torch_fidelity() -> Iterator[Check]:
    """They differ from FID in the features only."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake = normal(2100, 64, seed=9).relu(), (1.2 * normal(2100, 64, seed=10) + 0.1).relu()
    statistics = [fid_features_to_statistics(rows) for rows in (fake, real)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    for name in ("fd_domain", "fd_dinov2", "fd_clip", "fd_efficientnet"):
        value = by_pieces(name, real=real, fake=fake, spec=PICTURES)
        yield Check(f"{name} of the same features", value, "torch-fidelity", expected, 1e-6 * expected)


@of("fid_infinity")
def fid_infinity_of_gaussians() -> Iterator[Check]:
    """N(0, I) and N(m, I) in 8 dimensions: |m|^2 = 1, with the standard error of 2 |m| sqrt(2 / n) of the means."""
    n = 10_000
    real, fake = normal(n, 8, seed=11), normal(n, 8, seed=12) + 8.0**-0.5
    order = torch.arange(n)
    value = by_pieces("fid_infinity", real=real, fake=fake, fake_order=order)
    yield Check("FID inf of two Gaussians", value, "|m|^2, 4 standard errors", 1.0, 8.0 * math.sqrt(2.0 / n))


@of("energy_distance", "c2st")
def vectors_apart() -> Iterator[Check]:
    """Two points each at 0 and at 3: 2 x 3 - 0 - 0. Two sets far apart: a classifier errs on no held-out row."""
    zeros = torch.zeros(MANY, 1, dtype=torch.float64)
    value = by_pieces("energy_distance", real=zeros, fake=zeros + 3.0)
    yield Check("energy distance of two points", value, "twice their distance", 6.0, 1e-9)
    rows = normal(MANY, 2, seed=17)
    yield Check(
        "C2ST of sets far apart", by_pieces("c2st", real=rows, fake=rows.flip(0) + 20.0), "no error", 1.0, 1e-12
    )


@of("class_histogram_kl")
def histogram_by_hand() -> Iterator[Check]:
    """Three of four test images are of class 0, and a half of the samples; 1/2 is added to each of the ten counts."""
    real, fake = torch.arange(MANY).remainder(4).eq(3).long(), torch.arange(MANY).remainder(2)
    p, q = ([(share * MANY + 0.5) / (MANY + 5.0) for share in shares] for shares in ((0.5, 0.5), (0.75, 0.25)))
    expected = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))  # classes that are absent in both add 0
    value = by_pieces("class_histogram_kl", real=real, fake=fake, spec=PICTURES)
    yield Check("KL of two histograms of classes", value, "by hand", expected, 1e-9)


@of("class_accuracy")
def accuracy_by_hand() -> Iterator[Check]:
    asked, shown = torch.arange(MANY) % 10, torch.arange(MANY) % 10
    shown[:250] = (shown[:250] + 1) % 10
    spec = DataSpec((1, 8, 8), 17, 10, condition="label")
    value = by_pieces("class_accuracy", conditions=asked, fake_classes=shown, spec=spec, domain_accuracy=1.0)
    yield Check("accuracy of 750 of 1,000 classes", value, "by hand", 0.75, 1e-12)


@of("attribute_accuracy")
def attributes_by_hand() -> Iterator[Check]:
    asked = (torch.arange(MANY)[:, None] % torch.tensor([2, 4]) == 0).long()
    shown = asked.bool()
    shown[:200, 0] = True  # 100 of the 500 without the first attribute
    value = by_pieces("attribute_accuracy", fake_attributes=shown, conditions=asked, domain_accuracy=1.0)
    yield Check("balanced accuracy of two attributes", value, "by hand", ((1.0 + 0.8) / 2.0 + 1.0) / 2.0, 1e-12)


@of("caption_retrieval")
def retrieval_by_hand() -> Iterator[Check]:
    found, real = torch.arange(MANY) < 640, torch.arange(MANY) < 900
    value = by_pieces("caption_retrieval", fake_found=found, real_found=real, num_captions=100)
    yield Check("640 of 1,000 captions found", value, "by hand", 0.64, 1e-12)


@of("clip_score")
def cosines_by_hand() -> Iterator[Check]:
    cosines = torch.linspace(-0.1, 0.5, MANY)
    value = by_pieces(
        "clip_score", clip_reader="by hand", fake_cosines=cosines, real_cosines=torch.stack([cosines, cosines])
    )
    yield Check("100 times the mean of cosines from -0.1 to 0.5", value, "by hand", 20.0, 1e-5)


@of("fd_domain_per_class")
def distances_within_classes() -> Iterator[Check]:
    """The mean of torch-fidelity's distances of two classes, of which the second is moved."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    real, fake, y = normal(2100, 16, seed=18), 1.2 * normal(2100, 16, seed=19), torch.arange(2100) % 2
    fake[y == 1] += 0.5
    expected = 0.0
    for label in (0, 1):
        statistics = [fid_features_to_statistics(rows[y == label]) for rows in (fake, real)]
        expected += 0.5 * fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    value = by_pieces("fd_domain_per_class", real=real, fake=fake, test_labels=y, conditions=y, spec=PICTURES)
    yield Check("fd_domain_per_class of the same features", value, "torch-fidelity", expected, 1e-6 * expected)


@of("generative_accuracy")
def bayes_classifier_by_hand() -> Iterator[Check]:
    """Labels 0, 1, 2, ... in turn; the first 250 of 1,000 examples are likelier under the next label."""
    y = torch.arange(MANY) % 10
    likeliest = torch.where(torch.arange(MANY) < 250, (y + 1) % 10, y)
    found = torch.full((MANY, 10), -100.0, dtype=torch.float64).scatter(1, likeliest[:, None], -90.0)
    pieces = {"label_log_prob": found, "labels_looked_up": y, "likelihood": Likelihood.EXACT, "classifies": False}
    value = by_pieces("generative_accuracy", **pieces)
    yield Check("generative classifier of 1,000 examples", value, "by hand", 0.75, 1e-12)


def _on_a_line(samples: Tensor, metric: str) -> float:
    """The value for samples (N,), training examples at 0, 8, 16, ... and test examples that are 4 further."""
    train = 8.0 * torch.arange(MANY, dtype=torch.float32)[:, None]
    data = Given(DataSpec((1,)), train, train[:10] + 2.0, train + 4.0)
    return by_evaluation(ImportedSamples(samples[:, None], data.spec), data, metric, num_samples=MANY)


@of("nearest_neighbour_ratio", "authpct")
def neighbours_on_a_line() -> Iterator[Check]:
    """Samples at a distance of 1 are copies; those below all training examples are further away than these are apart."""
    samples = 8.0 * torch.arange(MANY, dtype=torch.float32) + 1.0
    ratio = _on_a_line(samples, "nearest_neighbour_ratio")
    yield Check("neighbour ratio of points on a line", ratio, "distances of 1 and 4", 0.25, 1e-6)
    samples[:300] = -100.0 - torch.arange(300)
    yield Check("AuthPct of points on a line", _on_a_line(samples, "authpct"), "300 of 1,000 new", 30.0, 1e-9)


@of("c_t")
def c_t_of_copies() -> Iterator[Check]:
    """Five groups far apart. Every copy is nearer than every test example: U = 0, and z = -(3 m n / (m + n + 1))^(1/2)."""
    centres = 1000.0 * torch.eye(5).repeat_interleave(MANY // 5, 0)
    train, real = (centres + normal(MANY, 5, seed=seed).float() for seed in (13, 14))
    data = Given(DataSpec((5,)), train, real[:10], real)
    each = MANY // 5
    expected = math.sqrt(3.0 * each * each / (2 * each + 1))
    for title, fake, sign in (("copies", train, -1.0), ("samples far away", centres + 50.0 + train, 1.0)):
        value = by_evaluation(ImportedSamples(fake, data.spec), data, "c_t", num_samples=MANY)
        yield Check(f"C_T of {title}", value, "closed form of five cells", sign * expected, 1e-5)


class _Sleeper(Uniform):
    """Needs 20 ms for each call."""

    likelihood = Likelihood.NONE

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        time.sleep(0.02)
        return super().sample(num_samples, y)


@of("sampling_seconds")
def seconds_of_a_sleeper() -> Iterator[Check]:
    """200 samples in two blocks of 100: at least 2 x 20 ms."""
    levels = torch.zeros(10, 1, 8, 8, dtype=torch.uint8)
    data = Given(PICTURES, levels, levels, levels)
    value = by_evaluation(_Sleeper(data.spec), data, "sampling_seconds", num_samples=200)
    yield Check("seconds per sample, of 20 ms for 100", 0.0002, "at most the measured time", value, 0.0, one_sided=True)
