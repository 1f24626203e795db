"""Attributes of samples as classifiers see them, and models that have none."""

from types import SimpleNamespace

import pytest
import torch

from genarena.data.batches import Split
from genarena.evaluation.evidence.attributes import Attributes, attributes_seen, shares_of
from genarena.metrics.base import Unavailable
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, num_attributes=2, condition="attributes")
TRAIN = Split(torch.zeros(4, 1), torch.tensor([[1, 0], [0, 0], [0, 0], [1, 0]]))
CLASSIFIERS = SimpleNamespace(logits=lambda rows: torch.stack([rows, rows + 1.0]))  # two members


def test_an_attribute_is_seen_above_its_share_in_training() -> None:
    """Of the mean probability of two members, against 1/2 and a share that no example has."""
    shares = shares_of(TRAIN.y)
    assert shares.tolist() == [0.5, 0.0]
    rows = torch.tensor([[-0.6, -20.0], [-0.4, -10.0]])  # means of two sigmoids about 1/2
    assert attributes_seen(CLASSIFIERS, rows, shares).tolist() == [[False, False], [True, True]]


def test_models_without_attributes_are_refused_before_samples_are_drawn() -> None:
    for spec in (DataSpec((1, 8, 8), 17, 3), DataSpec((1, 8, 8), 17, 3, condition="label")):
        subject = SimpleNamespace(data=SimpleNamespace(spec=spec, train=TRAIN))
        with pytest.raises(Unavailable, match=r"data\.condition=attributes"):
            Attributes(subject, None, None).attribute_shares()
    assert next(iter(Attributes.pieces()["fake_attributes"])) == "attribute_shares", "asked for first"


def test_samples_are_seen_in_their_own_features() -> None:
    subject = SimpleNamespace(data=SimpleNamespace(spec=SPEC, train=TRAIN), networks={"domain": CLASSIFIERS})
    kind, rows = Attributes(subject, None, None), torch.tensor([[1.0, -30.0], [-1.0, 0.0]])
    assert kind.fake_attributes(kind.attribute_shares(), rows).tolist() == [[True, False], [False, True]]
