"""Editing of the digits by a model whose codes are the pixels, and the scores of edits whose effect is known."""

import pytest
import torch

from genarena.tasks.edit import Edit, blender
from genarena.tasks.editing.domain import Domain
from genarena.tasks.editing.edited import Judge, spearman
from genarena.tasks.editing.images import some
from tests.tasks.editing.worlds import Pixels, Shifted, digits


def test_rows_of_an_edit() -> None:
    data = digits()
    model, task = Pixels(data.spec), Edit(attribute=["thickness"], num_train=400, num_images=70)
    outcome = task.solve(model, task.algorithm_for(model), data, "thickness")
    assert list(outcome.lines) == ["mean difference", "LDA", "logistic"]
    assert list(outcome.floors) == ["pixels", "principal components", "nearest image", "unedited", "real images"]
    for line in (outcome.lines["mean difference"], outcome.floors["pixels"]):
        assert line.metrics["target"]["value"] > 1.0 and line.metrics["monotonicity"]["value"] > 0.95
        assert line.metrics["round_trip"]["value"] == pytest.approx(0.0, abs=1e-6)
        ratio = line.metrics["target"]["value"] / line.metrics["leak"]["value"]
        assert line.metrics["ratio"]["value"] == pytest.approx(ratio)
        assert 0.1 < line.metrics["moved"]["value"] < 1.0
        assert line.metrics["fd_domain"]["value"] > outcome.floors["real images"].metrics["fd_domain"]["value"]
    strip = outcome.pictures["mean_difference.png"].unflatten(0, (5, 10)).double().flatten(2).mean(2)
    assert (strip[:, -1] > strip[:, 0]).all()  # thicker is lighter
    of_floors = {name.partition(".")[0] for name, each in outcome.shown.items() if each.is_floor}
    assert (
        of_floors == {"pixels", "principal_components", "nearest_image"}
        and outcome.shown.keys() == outcome.pictures.keys()
    )
    assert outcome.facts["with_attribute"] == 200


def test_an_edit_that_does_nothing_and_one_that_only_shifts() -> None:
    data = digits()
    judge = Judge(data, Domain(data), "slant", some(data, "test", 80).unit)
    idle = judge.line(lambda num, strength: judge.x[:num]).metrics
    assert idle["target"]["value"] == idle["leak"]["value"] == idle["moved"]["value"] == 0.0
    assert idle["class_kept"]["value"] == 1.0 and idle["monotonicity"]["value"] == 0.0
    rolled = judge.line(
        lambda num, strength: judge.x[:num].roll(round(strength) % 8, -2)
    ).metrics  # up and down: no change of width
    assert rolled["moved"]["value"] > 0.3 and rolled["class_kept"]["value"] < 0.9


def test_a_model_with_labels_changes_the_class_by_its_condition() -> None:
    data = digits()
    model, task = Shifted(data), Edit(attribute=["class_3", "thickness"], num_train=400, num_images=70)
    outcome = task.solve(model, task.algorithm_for(model), data, "class_3")
    assert list(outcome.lines) == ["mean difference", "LDA", "logistic", "condition"]
    changed = outcome.lines["condition"].metrics
    assert changed["round_trip"]["value"] == pytest.approx(0.0, abs=0.02)  # images are rounded to levels
    assert changed["target"]["value"] > 1.0 and changed["monotonicity"]["value"] > 0.5
    test = some(data, "test", 70)
    strip = outcome.pictures["condition.png"].unflatten(0, (5, 10))[:, -1].double() / 127.5 - 1.0
    wanted = (test.unit[:5] + model.means[3] - model.means[test.y[:5]]).clamp(-1.0, 1.0)
    assert torch.allclose(strip, wanted.double(), atol=0.07)  # half a level of 17
    assert "condition" not in task.solve(model, task.algorithm_for(model), data, "thickness").lines


def test_a_full_blend_is_the_nearest_image() -> None:
    data = digits()
    train, x = some(data, "train", 100).unit, some(data, "test", 20).unit
    edit = blender(x, train[:50], train[50:])
    for strength, among in ((3.0, train[:50]), (-3.0, train[50:])):
        distances = torch.cdist(x.flatten(1), among.flatten(1))
        assert torch.allclose(edit(20, strength), among[distances.argmin(1)], atol=1e-6)
    assert torch.equal(edit(20, 0.0), x)


def test_rank_correlations() -> None:
    along = torch.tensor([[1.0, 3.0, 5.0, 1.0], [2.0, 2.0, 5.0, 3.0], [9.0, 1.0, 5.0, 2.0]])
    assert spearman(along).tolist() == pytest.approx([1.0, -1.0, 0.0, 0.5])


def test_wrong_options_are_refused() -> None:
    for options, said in (
        ({"attribute": []}, "at least one"),
        ({"attribute": ["slant", "slant"]}, "different values"),
        ({"project": ["a", "b", "c"]}, "at most 2"),
        ({"attribute": ["slant"], "project": ["slant"]}, "other attributes"),
    ):
        with pytest.raises(ValueError, match=said):
            Edit(**options)
    data = digits()
    model = Pixels(data.spec)
    with pytest.raises(ValueError, match="attribute=class_3: 0 of 4 training images have it"):
        Edit(num_train=4, num_images=4).solve(model, Edit().algorithm_for(model), data, "class_3")
