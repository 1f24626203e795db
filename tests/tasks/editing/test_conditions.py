"""Conditions with an attribute and without it, and their places."""

import torch

from genarena.spec import Condition
from genarena.tasks.editing import conditions
from genarena.tasks.editing.attributes import CELEBA

LABEL, ATTRIBUTES = Condition("label", 3), Condition("attributes", 40)


def test_labels_with_a_class_and_without_it() -> None:
    y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]])
    assert conditions.with_attribute(y, LABEL, 1, True).tolist() == [[0, 1, 0]] * 3
    wanted = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.5], [0.25, 0.0, 0.75]])
    assert torch.allclose(conditions.with_attribute(y, LABEL, 1, False), wanted)


def test_an_attribute_is_set_alone() -> None:
    y = torch.zeros(2, 40)
    y[:, 3] = 1.0
    place = conditions.place("Smiling", ATTRIBUTES)
    assert place == CELEBA.index("Smiling")
    changed = conditions.with_attribute(y, ATTRIBUTES, place, True)
    assert (changed - y).nonzero().tolist() == [[0, place], [1, place]] and not y[:, place].any()
    assert torch.equal(conditions.with_attribute(changed, ATTRIBUTES, place, False), y)


def test_what_is_not_among_the_conditions_has_no_place() -> None:
    assert conditions.place("class_2", LABEL) == 2 and conditions.place("thickness", LABEL) is None
    assert conditions.place("class_2", None) is None and conditions.place("class_1", ATTRIBUTES) is None
