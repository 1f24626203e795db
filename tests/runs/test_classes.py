"""Labels whose number no YAML knows: it is found in the data, before a model is built."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from genarena import api
from genarena.build import build
from genarena.config import check, compose
from genarena.data.digits import Digits
from genarena.errors import DataError, UserError
from genarena.runs import classes
from genarena.runs.past import fingerprint
from genarena.spec import DataSpec


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three folders of pictures, each with grey levels of its own."""
    for kind in range(3):
        folder = tmp_path / "pictures" / f"kind{kind}"
        folder.mkdir(parents=True)
        for index in range(20):
            Image.new("L", (8, 8), 80 * kind + index).save(folder / f"{index}.png")
    return tmp_path / "pictures"


def options(root: Path) -> dict[str, Any]:
    return {"data.root": str(root), "data.channels": 1, "data.image_size": 8, "data.condition": "label"}


def configuration(root: Path) -> dict[str, Any]:
    line = [
        "model=vae",
        "data=image_folder",
        "budget=smoke",
        *(f"{key}={value}" for key, value in options(root).items()),
    ]
    return OmegaConf.to_container(compose(check(line)), resolve=True)


def test_subfolders_are_counted_and_the_model_is_built_for_them(pictures: Path) -> None:
    cfg = configuration(pictures)
    found = classes.resolved(cfg)
    assert cfg["data"]["spec"].get("num_classes") is None
    assert found["data"]["spec"]["num_classes"] == found["model"]["spec"]["num_classes"] == 3
    assert build(found["model"], "model").spec.condition.size == 3
    data = build(found["data"], "data")
    data.setup()
    assert data.spec.condition.size == data.spec.num_classes == 3
    assert classes.resolved(found) is found
    assert fingerprint(cfg) == fingerprint(found)  # a finished run is found again by its command line


def test_a_model_trains_on_them_and_draws_each(pictures: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    given = options(pictures) | {"model.channels": 4, "model.hidden": 16, "model.training.batch_size": 16}
    fitted = api.fit("vae", "image_folder", examples=64, options=given)
    assert api.sample(fitted.model, 3, y=torch.arange(3)).shape == (3, 1, 8, 8)
    few = {"evidence.examples.num_test": 4}
    assert api.evaluate(fitted.model, fitted.data, ["nll_nats"], few)["nll_nats"]["given"] == "label"


def test_data_without_classes_is_refused(tmp_path: Path) -> None:
    for index in range(10):
        Image.new("L", (8, 8), index).save(tmp_path / f"{index}.png")
    with pytest.raises(UserError, match=r"^data\.condition=label: there are no classes in data=image_folder$"):
        classes.resolved(configuration(tmp_path))
    with pytest.raises(DataError, match="there is no such folder"):
        classes.resolved(configuration(tmp_path / "nowhere"))


def test_what_a_yaml_knows_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "build", None)  # a call would fail
    for line in (["data=digits", "data.condition=label"], ["data=toy2d"], ["data=celeba", "data.condition=attributes"]):
        cfg = OmegaConf.to_container(compose(["model=vae", *line]), resolve=True)
        assert classes.resolved(cfg) is cfg


def test_labels_that_the_model_does_not_take_are_no_difference() -> None:
    """A model is made before its data is read; the classes found then belong to the data alone."""
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    unaware = api.fit("gaussian", "digits", examples=64).model
    unaware.spec = DataSpec((1, 8, 8), 17)
    assert api.evaluate(unaware, data, ["nll_nats"], {"evidence.examples.num_test": 4})["nll_nats"]["n"] == 4
    given = Digits(DataSpec((1, 8, 8), 17, 10, condition="label"), condition="label")
    with pytest.raises(UserError, match="made for data with condition=None, and the data has condition=Condition"):
        api.evaluate(unaware, given, ["nll_nats"])
