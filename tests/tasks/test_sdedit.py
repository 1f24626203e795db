"""Images from guides, on the digits: by a model whose codes are the pixels, and with labels."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from genarena.spec import DataSpec
from genarena.tasks.sdedit import Sdedit
from tests.tasks.editing.worlds import Pixels, digits


def test_more_noise_is_further_from_the_guide() -> None:
    data = digits()
    model, task = Pixels(data.spec), Sdedit(num_images=110, t0=[0.5, 0.2])
    outcome = task.solve(model, task.algorithm_for(model), data, "image")
    assert list(outcome.lines) == ["t0 = 0.2", "t0 = 0.5"]
    little, more = (each.metrics for each in outcome.lines.values())
    guide, real = (outcome.floors[name].metrics for name in ("guide", "real images"))
    assert guide["to_guide"]["value"] is None and 0.0 < little["to_guide"]["value"] < more["to_guide"]["value"]
    assert guide["fd_domain"]["value"] < little["fd_domain"]["value"] < more["fd_domain"]["value"]  # noise on pixels
    assert guide["agreement"]["value"] > 0.97 and outcome.facts["nfe"] == 2
    assert outcome.pictures["guided.png"].shape == (40, 1, 8, 8) and len(outcome.shown["guided.png"].rows) == 4
    assert outcome.pictures["guided.gif"].shape == (3, 10, 1, 8, 8)
    coarse = task.solve(model, task.algorithm_for(model), data, "blocks")
    assert coarse.floors["guide"].metrics["fd_domain"]["value"] > 10 * real["fd_domain"]["value"]
    again = task.solve(model, task.algorithm_for(model), data, "image")
    assert torch.equal(outcome.pictures["guided.png"], again.pictures["guided.png"])


def test_a_model_with_labels_is_asked_for_another_class() -> None:
    data = digits()
    model = Pixels(data.spec)
    model.spec = DataSpec((1, 8, 8), 17, 10, condition="label")
    task = Sdedit(num_images=60)
    image, blocks = (task._guided(model, data, case) for case in ("image", "blocks"))
    assert torch.equal(image.y, image.wanted) and (image.wanted != blocks.wanted).all()
    assert len(set(((image.wanted - blocks.wanted) % 10).tolist())) == 9  # each other class
    assert image.wanted.min() >= 0 and image.wanted.max() < 10


def test_a_picture_of_ones_own(tmp_path: Path) -> None:
    path = str(tmp_path / "guide.png")
    Image.new("L", (30, 20), 200).save(path)
    data = digits()
    model, task = Pixels(data.spec), Sdedit(guide=path, t0=[0.3])
    assert task.cases(data.spec) == ("picture",) and task.settings("picture")["picture"]
    outcome = task.solve(model, task.algorithm_for(model), data, "picture")
    assert outcome.num_examples == 10 and "agreement" not in outcome.lines["t0 = 0.3"].metrics
    assert "too few" in outcome.lines["t0 = 0.3"].metrics["fd_domain"]["reason"]
    with pytest.raises(ValueError, match="No such file"):
        Sdedit(guide=str(tmp_path / "none.png")).examine({"spec": {"shape": [1, 8, 8]}})
    model.spec = DataSpec((1, 8, 8), 17, 10, condition="label")
    assert task._guided(model, data, "picture").y.tolist() == list(range(10))  # each label once


def test_captions_are_refused() -> None:
    with pytest.raises(ValueError, match="conditional on caption; expected label or attributes, or no condition"):
        Sdedit().check(DataSpec((1, 8, 8), 256, condition="caption"))


def test_wrong_options_are_refused() -> None:
    for options, said in (
        ({"t0": [0.0]}, "above 0"),
        ({"t0": []}, "at least one"),
        ({"guides": ["stroke"]}, "guides"),
    ):
        with pytest.raises(ValueError, match=said):
            Sdedit(**options)
