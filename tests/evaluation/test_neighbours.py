"""Evidence about neighbours: sets of equal size, real data beside them, and the side of the data set kept on disk."""

from pathlib import Path

import pytest
import torch

from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence import cells, closeness, neighbours
from genarena.files.cache import cache_folder
from genarena.statistics import manifolds
from tests.small_world import SETTINGS, SIZES, Drawn, Halves, furnished, some_samples

MANIFOLD = ("precision", "recall", "density", "coverage")
MEMORY = ("authpct", "c_t", "nearest_neighbour_ratio")


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Halves:
    return furnished(monkeypatch, tmp_path)


def records(data: Halves, *metrics: str, options: dict | None = None) -> dict[str, dict]:
    own = SIZES | (options or {})
    return evaluate(Drawn(some_samples()).eval(), data, metrics, SETTINGS, own, progress=False).metrics


def test_both_sides_have_the_size_of_the_smaller(data: Halves) -> None:
    found = records(data, *MANIFOLD)
    for name in MANIFOLD:
        assert (found[name]["n"], found[name]["n_real"]) == (200, 200)  # of 300 samples
        assert found[name]["real_from"] == "train"
        assert found[name]["standard_error"] > 0
        assert found[name]["real"] > found[name]["value"]  # noise is no data
    assert found["precision"]["settings"]["k"] == 3


def test_too_few_examples_to_stand_beside(data: Halves) -> None:
    data.train = data.train[:260]
    found = records(data, "recall")["recall"]
    assert (found["real"], found["real_reason"]) == (
        None,
        "needs 300 real examples besides those of the metric; there are 260 in train, 30 in val",
    )
    assert found["value"] is not None


def test_the_side_of_the_data_is_computed_once(data: Halves, monkeypatch: pytest.MonkeyPatch) -> None:
    first = records(data, *MANIFOLD, *MEMORY)
    kept = sorted(path.name.split("-", 2)[2] for path in cache_folder().rglob("neighbours-*.pt"))
    assert kept == [
        "authentic.pt",
        "cells-1-starts10.pt",
        "closeness-300-shift1-peers50.pt",
        "closeness-held-out-shift1-peers50.pt",
        "counts-3-5.pt",
        "radii-3-5.pt",
        "spacing.pt",
    ]
    calls = []
    for module, function in (
        (manifolds, "squared_radii"),
        (neighbours, "authentic"),
        (neighbours, "spacing"),
        (closeness, "closeness"),
        (cells, "centres"),
    ):
        original = getattr(module, function)
        monkeypatch.setattr(
            module, function, lambda x, *rest, f=function, o=original: calls.append((f, len(x))) or o(x, *rest)
        )
    second = records(data, *MANIFOLD, *MEMORY)
    for name in (*MANIFOLD, *MEMORY):
        assert second[name] | {"seconds": 0} == first[name] | {"seconds": 0}
    whole = [(function, size) for function, size in calls if size >= 200]
    of_samples = [("squared_radii", 200), ("authentic", 300), ("closeness", 300), ("closeness", 300)]
    assert whole == of_samples  # the latter to training and to held-out examples


def test_other_k_and_other_shifts_are_asked_for_by_metric(data: Halves) -> None:
    plain = records(data, "recall", "density", "nearest_neighbour_ratio")
    own = {"metric.recall.k": 7, "metric.nearest_neighbour_ratio.shift": 0}
    other = records(data, "recall", "density", "nearest_neighbour_ratio", options=own)
    assert other["density"]["value"] == plain["density"]["value"]
    assert other["recall"]["value"] > plain["recall"]["value"]
    assert other["recall"]["k"] == 7
    assert other["nearest_neighbour_ratio"]["median_distance"] > plain["nearest_neighbour_ratio"]["median_distance"]


def test_a_copier_is_found(data: Halves) -> None:
    copies = data.train.x[torch.randint(300, (300,), generator=torch.Generator().manual_seed(0))]
    found = evaluate(Drawn(copies).eval(), data, MEMORY, SETTINGS, SIZES, progress=False).metrics
    assert all("alarm" in found[name] for name in MEMORY)
    new = evaluate(Drawn(some_samples()).eval(), data, MEMORY, SETTINGS, SIZES, progress=False).metrics
    assert not any("alarm" in new[name] for name in MEMORY)
