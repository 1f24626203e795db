"""Checks of the metrics of sample quality, against closed forms, torch-fidelity and plain loops."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from genarena.evaluation.asked import load_metric
from genarena.published.checks import Check, by_pieces, normal, of
from genarena.spec import DataSpec
from genarena.statistics.frechet import frechet_distance
from genarena.statistics.manifolds import Manifolds, Reference


def _measure(name: str, real: Tensor, fake: Tensor) -> float:
    """The value of a two-sample metric on given features (N, F)."""
    metric = load_metric(name)()
    metric.update(real, fake)
    return metric.compute()


@of()
def frechet_of_known_gaussians() -> Iterator[Check]:
    """For commuting covariances d^2 = |m1 - m2|^2 + sum_i (s1_i - s2_i)^2, with standard deviations s; in a rotated basis."""
    rotation = torch.linalg.qr(normal(64, 64)).Q.numpy()
    m1, m2, s1, s2 = (normal(64, seed=seed).numpy() for seed in range(1, 5))
    (c1, c2) = (rotation @ np.diag(s**2) @ rotation.T for s in (s1, s2))
    expected = float(((m1 - m2) ** 2).sum() + ((np.abs(s1) - np.abs(s2)) ** 2).sum())
    yield Check(
        "Frechet distance of two Gaussians in 64 dimensions",
        frechet_distance(m1, c1, m2, c2),
        "closed form",
        expected,
        1e-8 * expected,
    )


@of("fid")
def fid_of_a_set_with_itself() -> Iterator[Check]:
    rows = normal(2100, 64)
    yield Check(
        "FID(x, x)",
        _measure("fid", rows, rows),
        "zero, relative to the trace of the covariance",
        0.0,
        1e-9 * rows.var(0).sum().item(),
    )


@of("fid", "kid", "kd_domain")
def fid_and_kid_of_torch_fidelity() -> Iterator[Check]:
    """FID and KID of the same features by torch-fidelity; its KID uses a single subset, the whole set."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    mixing = normal(256, 256, seed=1) / 16.0
    real, fake = (normal(2100, 256, seed=2) @ mixing).relu(), (1.1 * normal(2100, 256, seed=3) @ mixing + 0.1).relu()
    statistics = (fid_features_to_statistics(rows) for rows in (fake, real))
    fid = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    yield Check("FID of 2 x 2,100 random features", _measure("fid", real, fake), "torch-fidelity", fid, 1e-6 * fid)
    kid = kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=2100, verbose=False)
    kid = kid["kernel_inception_distance_mean"]
    for name in ("kid", "kd_domain"):
        value = by_pieces(name, real=real, fake=fake, spec=DataSpec((1, 8, 8), 17, 10))
        yield Check(f"{name} of the same features", value, "torch-fidelity", kid, 1e-6 * kid)


@of("precision", "recall", "density", "coverage")
def neighbours_by_brute_force() -> Iterator[Check]:
    """Precision and recall (Kynkaanniemi et al. 2019, eq. 1-2), density and coverage (Naeem et al. 2020, eq. 4-5), by loops."""
    real, fake = normal(60, 4, seed=4).tolist(), (0.8 * normal(50, 4, seed=5) + 0.3).tolist()

    def inside(k: int, centres: list[list[float]], points: list[list[float]]) -> list[list[bool]]:
        """[centre][point]: whether the point is at most as far from the centre as the k-th nearest other centre."""
        # Index 0 of the sorted distances is the centre itself.
        radii = [sorted(math.dist(centre, other) for other in centres)[k] for centre in centres]
        return [
            [math.dist(centre, point) <= radius for point in points]
            for centre, radius in zip(centres, radii, strict=True)
        ]

    by_three, of_samples, by_five = inside(3, real, fake), inside(3, fake, real), inside(5, real, fake)
    expected = {
        "precision": sum(map(any, zip(*by_three, strict=True))) / 50,
        "recall": sum(map(any, zip(*of_samples, strict=True))) / 60,
        "density": sum(map(sum, by_five)) / (5 * 50),
        "coverage": sum(map(any, by_five)) / 60,
    }
    manifolds = Manifolds(*(torch.tensor(rows, dtype=torch.float64) for rows in (real, fake)))
    for name, value in expected.items():
        metric = load_metric(name)()
        metric.update(manifolds, Reference(None))
        yield Check(name, metric.compute(), "brute force", value, 1e-12)
