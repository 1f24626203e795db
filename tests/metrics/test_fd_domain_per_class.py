"""The distance within classes on Gaussian features, where it is known."""

import pytest
import torch
from torch import Tensor

from genarena.metrics.base import Fresh, Unavailable
from genarena.metrics.fd_domain import FrechetDomainDistance
from genarena.metrics.fd_domain_per_class import FrechetDomainDistancePerClass
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, 2, condition="label")
APART = 5.0  # distance of the means of the two classes
NUM = 4000


def features(y: Tensor, seed: int, shift: float = 0.0) -> Tensor:
    """(N, 3) standard normal numbers around the mean of label y; `shift` moves label 1."""
    rows = torch.randn(len(y), 3, generator=torch.Generator().manual_seed(seed))
    rows[:, 0] += APART * y + shift * y
    return rows


LABELS = torch.arange(NUM) % 2
REAL = features(LABELS, 0)


def scored(y: Tensor, fake: Tensor, fresh: Fresh | None = None) -> FrechetDomainDistancePerClass:
    metric = FrechetDomainDistancePerClass()
    metric.update(LABELS, y, REAL, fake, SPEC, 1, fresh)
    return metric


def test_the_mean_over_labels_of_the_distances_of_gaussians() -> None:
    """Label 1 is moved by 2, label 0 is not: (4 + 0) / 2."""
    metric = scored(LABELS, features(LABELS, 1, shift=2.0), Fresh(features(LABELS, 2), "train"))
    value, record = metric.compute(), metric.record()
    assert [each["value"] for each in record["per_class"]] == pytest.approx([0.0, 4.0], abs=0.4)  # 3 sd
    assert [(each["label"], each["n"], each["n_real"]) for each in record["per_class"]] == [
        (0, 2000, 2000),
        (1, 2000, 2000),
    ]
    assert abs(value - 2.0) < 3 * record["standard_error"]
    assert record["real"] == pytest.approx(0.0, abs=0.02) and record["real_from"] == "train"


def test_samples_that_ignore_their_label_are_far_within_classes_and_near_as_a_whole() -> None:
    """Within a label, half of them lie on the other side: |m1 - m2|^2 = (d / 2)^2, and the variance grows to 1 + (d / 2)^2."""
    shuffled = LABELS[torch.randperm(NUM, generator=torch.Generator().manual_seed(3))]
    fake = features(shuffled, 1)
    ignored = scored(LABELS, fake).compute()
    half = (APART / 2.0) ** 2
    expected = half + 1.0 + 1.0 + half - 2.0 * (1.0 + half) ** 0.5
    assert ignored == pytest.approx(expected, rel=0.03)
    whole = FrechetDomainDistance()
    whole.update(REAL, fake, SPEC)
    assert whole.compute() < 0.05
    assert scored(shuffled, fake).compute() < 0.05


def test_too_few_images_of_a_label_are_refused_by_name() -> None:
    few = torch.cat([LABELS[LABELS == 0], torch.ones(3, dtype=torch.long)])
    with pytest.raises(Unavailable, match="label 1 has 2,000 test images and 3 samples: .* at least 4 of both"):
        scored(few, features(few, 1)).compute()
    none = torch.zeros(100, dtype=torch.long)
    with pytest.raises(Unavailable, match="label 1 has 2,000 test images and 0 samples"):
        scored(none, features(none, 1)).compute()
