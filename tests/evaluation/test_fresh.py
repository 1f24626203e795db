"""Real examples in place of samples: which ones, how many, and what a record says of them."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.data.reading.lazy import Lazy
from genarena.evaluation.evaluate import evaluate
from genarena.evaluation.evidence.samples import Samples
from genarena.evaluation.gathered import Evidence
from genarena.evaluation.settings import EvaluationSettings
from genarena.evaluation.subject import Subject
from genarena.files.progress import Bars
from genarena.metrics.base import Fresh
from tests.small_world import SETTINGS, SIZES, Drawn, Halves, furnished, some_samples


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Halves:
    return furnished(monkeypatch, tmp_path)


def taken(data: Halves, num_samples: int = 300, **settings: object) -> Fresh:
    subject = Subject(Drawn(some_samples()), data, EvaluationSettings(**settings), Bars(shown=False))
    return Evidence(subject, {Samples: Samples.Settings(num_samples=num_samples)}).get("fresh")


def rows(x: Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


@pytest.mark.parametrize("count, source", [(200, "train"), (300, "train"), (330, "train and val")])
def test_as_many_as_samples_each_once_and_none_of_the_test_split(data: Halves, count: int, source: str) -> None:
    fresh = taken(data, num_samples=count)
    assert (len(fresh.rows), len(rows(fresh.rows)), fresh.source) == (count, count, source)
    assert not rows(fresh.rows) & rows(data.test.x)
    assert torch.equal(taken(data, num_samples=count, sample_seed=5).rows, fresh.rows)


def test_pictures_that_are_read_when_they_are_needed(data: Halves) -> None:
    """Only the chosen ones are made, and the features are those of the same pictures in memory."""
    expected, made = taken(data).rows, []
    x = data.train.x
    data.train = Split(Lazy(torch.arange(len(x)), lambda index: made.append(len(index)) or x[index]), data.train.y)
    made.clear()
    fresh = taken(data)
    assert sum(made) <= 1  # to learn the shape
    assert torch.equal(fresh.rows[:], expected)


def test_validation_takes_none_of_its_own(data: Halves) -> None:
    fresh = taken(data, num_samples=250, split="val")
    assert fresh.source == "train"
    assert taken(data, num_samples=310, split="val").rows is None


def test_too_many_samples_and_a_reference_without_a_training_split(data: Halves) -> None:
    fresh = taken(data, num_samples=331)
    assert fresh.rows is None
    assert fresh.reason == ("needs 331 real examples besides those of the metric; there are 300 in train, 30 in val")
    data.train = data.val = Split(data.test.x)
    assert taken(data).reason.endswith("there are none")


def test_the_record_has_the_value_of_real_examples_or_the_reason(data: Halves) -> None:
    names = ["fd_domain", "kd_domain", "fid", "kid", "vendi", "class_histogram_kl"]

    def run(samples: Tensor, options: dict) -> dict:
        return evaluate(Drawn(samples).eval(), data, names, SETTINGS, options, progress=False).metrics

    ours, theirs = run(some_samples(), SIZES), run(taken(data).rows, SIZES)
    for name in names:
        assert ours[name]["real"] == pytest.approx(theirs[name]["value"], rel=1e-9, abs=1e-12)
        assert ours[name]["real_from"] == "train"
        assert ours[name]["standard_error"] > 0.0
    more = SIZES | {"evidence.samples.num_samples": 340}
    for record in run(torch.cat([some_samples(), some_samples()[:40]]), more).values():
        assert record["value"] is not None
        assert record["real"] is None
        assert record["real_reason"].startswith("needs 340 real examples")
