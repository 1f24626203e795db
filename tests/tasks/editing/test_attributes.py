"""Attributes by name, from the configuration of a data set alone; the nearest name for one that is not there."""

import pytest
import torch
from omegaconf import OmegaConf

from genarena import config
from genarena.tasks.editing import attributes
from genarena.tasks.editing.images import some
from genarena.tasks.editing.measures import measured
from tests.tasks.editing.worlds import digits


def node(name: str, **changes: object) -> dict:
    return {**OmegaConf.to_container(OmegaConf.load(config.file_of("data", name)), resolve=False), **changes}


def test_what_the_data_sets_have() -> None:
    assert attributes.known(node("digits")) == ("thickness", "slant", "width", *(f"class_{k}" for k in range(10)))
    assert attributes.known(node("sprites")) == ("scale", "x", "y", "class_0", "class_1", "class_2")
    assert len(attributes.CELEBA) == 40 and attributes.known(node("celeba")) == attributes.CELEBA
    assert attributes.known(node("celeba", attribute="Smiling")) == ("class_0", "class_1")
    assert attributes.known(node("cifar10")) == tuple(f"class_{k}" for k in range(10))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "Smilling",
            "celeba",
            "attribute=Smilling: there is no such attribute; did you mean Smiling?; there are 5_o_Clock",
        ),
        ("thicknes", "digits", "; did you mean thickness?"),
        ("class_10", "digits", "there is no such attribute"),
        ("thickness", "cifar10", "there is no such attribute"),
    ],
)
def test_a_name_that_is_not_there(name: str, data: str, said: str) -> None:
    with pytest.raises(ValueError, match="there is no such attribute") as raised:
        attributes.check([name], node(data), "attribute")
    assert said in str(raised.value) and "\n" not in str(raised.value)
    attributes.check(attributes.known(node(data)), node(data), "attribute")


def test_who_has_an_attribute_and_how_much() -> None:
    data = digits()
    train = some(data, "train", 300)
    assert torch.equal(attributes.present("class_3", data, train, "train"), data.train.y[train.rows] == 3)
    thick = attributes.present("thickness", data, train, "train")
    values = measured("thickness", train.unit)
    assert thick.sum() == 150 and values[thick].min() >= values[~thick].max()
    chances = torch.eye(10)[data.test.y[:50]]
    found = attributes.scores(data, some(data, "test", 50).unit, chances)
    assert list(found) == ["thickness", "slant", "width", *(f"class_{k}" for k in range(10))]
    assert torch.equal(found["class_7"], chances[:, 7].double())
    assert attributes.others("slant", data) == ("thickness", "width")
    assert attributes.others("class_2", data) == ("thickness", "slant", "width")
