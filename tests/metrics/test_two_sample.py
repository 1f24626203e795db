"""Metrics on two sets of features: known answers, agreement with other implementations, independence of the order."""

import statistics

import prdc
import pytest
import torch
from torch_fidelity.metric_prc import calculate_precision_recall_full

from genarena.errors import ArenaError
from genarena.evaluation.asked import load_metric
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec
from genarena.statistics import frechet, kernel, neighbours
from genarena.statistics.manifolds import Manifolds, Reference

MANIFOLD = ("precision", "recall", "density", "coverage")
SPEC = DataSpec((1, 8, 8), 17, 10)


def sets(n: int = 120, m: int = 90) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(n, 6, generator=generator, dtype=torch.float64),
        0.7 * torch.randn(m, 6, generator=generator, dtype=torch.float64) + 0.4,
    )


def measure(name: str, real: torch.Tensor, fake: torch.Tensor, parts: int = 1) -> float:
    metric = load_metric(name)()
    if name in MANIFOLD:
        metric.update(Manifolds(real, fake), Reference(None, reason="none here"))
        return metric.compute()
    for real_part, fake_part in zip(real.chunk(parts), fake.chunk(parts), strict=True):
        if name == "fd_domain":
            metric.update(real_part, fake_part, SPEC)
        else:
            metric.update(real_part, fake_part)
    return metric.compute()


def test_precision_and_recall_equal_torch_fidelity() -> None:
    real, fake = sets()
    theirs = calculate_precision_recall_full(fake, real, neighborhood=3)
    assert (measure("precision", real, fake), measure("recall", real, fake)) == pytest.approx(theirs, abs=1e-7)


def test_all_four_equal_prdc() -> None:
    real, fake = sets()
    for k, names in ((3, ("precision", "recall")), (5, ("density", "coverage"))):
        theirs = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
        for name in names:
            assert measure(name, real, fake) == pytest.approx(theirs[name], abs=1e-12)


def test_known_answers_on_two_clusters() -> None:
    """Data: six points on a line at 0 and six at 100. Samples: all at the first cluster, half of them far away."""
    cluster = torch.arange(6, dtype=torch.float64)[:, None]
    real = torch.cat([cluster, cluster + 100.0])
    fake = torch.cat([cluster, cluster + 1000.0])
    assert measure("precision", real, fake) == 0.5
    assert measure("recall", real, fake) == 0.5
    assert measure("coverage", real, fake) == 0.5
    # k = 5: every ball of the first cluster holds all six points of it, so 6 balls each for half of the samples
    assert measure("density", real, fake) == pytest.approx(0.5 * 6 / 5)


def test_collapse_has_precision_and_no_recall() -> None:
    real, _ = sets()
    collapsed = real[:1].expand(100, -1)
    assert measure("precision", real, collapsed) == 1.0
    assert measure("recall", real, collapsed) == pytest.approx(1 / len(real))


@pytest.mark.parametrize("name", [*MANIFOLD, "fd_domain", "kid"])
def test_order_and_batches_do_not_matter(name: str) -> None:
    real, fake = sets()
    generator = torch.Generator().manual_seed(1)
    shuffled = (
        real[torch.randperm(len(real), generator=generator)],
        fake[torch.randperm(len(fake), generator=generator)],
    )
    assert measure(name, *shuffled, parts=7) == pytest.approx(measure(name, real, fake), rel=1e-10)


@pytest.mark.parametrize("name", ["fid", "kid"])
def test_features_that_are_not_finite_are_an_error(name: str) -> None:
    real, fake = sets()
    fake[3, 2], fake[8, 0], fake[8, 1] = float("nan"), float("inf"), float("nan")
    with pytest.raises(ArenaError, match="fake features: 2 of 90 rows are not finite, the first is row 3"):
        measure(name, real, fake)


def test_fid_needs_more_examples_than_features() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2 * 2049, 4, generator=generator)
    with pytest.raises(Unavailable, match="needs 2049 examples of each kind; there are 2049 real and 2048 generated"):
        measure("fid", rows[:2049], rows[2049:-1])
    assert measure("fid", rows[:2049], rows[2049:]) < 0.05


@pytest.mark.parametrize("name, features", [("fd_domain", 6), ("fd_dinov2", 1025), ("fd_clip", 1026)])
def test_a_singular_covariance_is_refused(name: str, features: int) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(features + 1, features, generator=generator)
    with pytest.raises(
        Unavailable, match=f"{features:,} examples leave the covariance of {features:,} features singular"
    ):
        measure(name, rows, rows[:-1])


@pytest.mark.parametrize("name", [*MANIFOLD, "fd_domain", "kid"])
def test_chunks_do_not_matter(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = sets()
    whole = measure(name, real, fake)
    for module in (neighbours, kernel, frechet):
        monkeypatch.setattr(module, "ROWS", 17)
    for module in (neighbours, kernel):
        monkeypatch.setattr(module, "COLUMNS", 23)
    assert measure(name, real, fake) == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize("name", [*MANIFOLD, "fd_domain", "kid"])
def test_float32_features_are_summed_in_float64(name: str) -> None:
    """Far from the origin float32 sums would lose what matters; the features themselves are exact in both."""
    real, fake = (1000.0 + (rows * 64).round() / 64 for rows in sets())
    assert measure(name, real.float(), fake.float()) == pytest.approx(measure(name, real, fake), rel=1e-12)


def test_fid_of_a_set_with_itself_is_zero() -> None:
    real, _ = sets()
    assert measure("fd_domain", real, real) == pytest.approx(0.0, abs=1e-10)


def test_fd_domain_is_not_for_vectors() -> None:
    real, fake = sets()
    with pytest.raises(Unavailable, match="for images"):
        load_metric("fd_domain")().update(real, fake, DataSpec((6,)))


def test_fd_domain_is_the_mean_over_the_classifiers_with_their_spread() -> None:
    pairs = [sets(), sets(100, 80), tuple(2.0 * rows for rows in sets())]
    pairs = [(real[:100], fake[:80]) for real, fake in pairs]
    each = [measure("fd_domain", real, fake) for real, fake in pairs]
    metric = load_metric("fd_domain")()
    metric.update(*(torch.cat(side, dim=1) for side in zip(*pairs, strict=True)), SPEC, num_classifiers=3)
    assert metric.compute() == pytest.approx(statistics.mean(each), rel=1e-12)
    record = metric.record()
    assert record["per_classifier"] == pytest.approx(each, rel=1e-12)
    assert record["spread"] == pytest.approx(statistics.stdev(each), rel=1e-12)
    assert (record["n"], record["n_real"]) == (80, 100)
