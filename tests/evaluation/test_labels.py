"""Training examples of the labels that samples were asked for, and the labels of test examples."""

from types import SimpleNamespace

import pytest
import torch

from genarena.data.batches import Split
from genarena.evaluation.evidence.labels import Labels
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

SPEC = DataSpec((1,), 256, 3, condition="label")
TRAIN = Split(torch.arange(120, dtype=torch.uint8)[:, None], torch.arange(120) % 3)  # example i has label i % 3


def labels(spec: DataSpec = SPEC, shown: bool = True) -> Labels:
    """Features of an example are its levels."""
    data = SimpleNamespace(spec=spec, train=TRAIN, shown_beside_samples=TRAIN.x if shown else None, name="numbers")
    networks = SimpleNamespace(of_samples=lambda name, x: x.float())
    return Labels(SimpleNamespace(data=data, networks=networks), None, None)


def test_a_training_example_of_each_label_and_none_twice() -> None:
    asked = torch.tensor([2, 0, 0, 1, 2, 2] * 6)
    fresh = labels().fresh_of_labels(asked)
    found = fresh.rows.flatten().long()
    assert torch.equal(found % 3, asked) and len(set(found.tolist())) == len(asked) and fresh.source == "train"
    assert torch.equal(labels().fresh_of_labels(asked).rows, fresh.rows)


def test_no_examples_with_the_reason() -> None:
    fresh = labels().fresh_of_labels(torch.zeros(41, dtype=torch.long))
    assert fresh.rows is None and fresh.reason == "needs 41 training examples of label 0; there are 40"
    assert "too many to look through" in labels(shown=False).fresh_of_labels(torch.zeros(3, dtype=torch.long)).reason


def test_labels_of_models_of_labels_alone() -> None:
    assert torch.equal(labels().test_labels(TRAIN), TRAIN.y)
    for spec in (DataSpec((1,), 256, 3), DataSpec((1,), 256, 3, 2, condition="attributes")):
        with pytest.raises(Unavailable, match=r"data.condition=label"):
            labels(spec).test_labels(TRAIN)
