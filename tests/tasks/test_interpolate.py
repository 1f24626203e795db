"""Interpolation and inversion by a model whose codes are the pixels: it is the floor."""

import pytest

from genarena.spec import Condition, DataSpec
from genarena.tasks.edit import Edit
from genarena.tasks.editing.images import some
from genarena.tasks.interpolate import Interpolate
from genarena.tasks.invert import Invert
from tests.tasks.editing.worlds import Pixels, Shifted, digits


def test_pixels_as_codes_are_the_pixel_blend() -> None:
    data = digits()
    model, task = Pixels(data.spec), Interpolate(num_pairs=80)
    outcome = task.solve(model, task.algorithm_for(model), data, "")
    own, blend = outcome.lines["lerp"].metrics, outcome.floors["pixel blend"].metrics
    for name in ("fd_domain", "confidence", "length", "unevenness"):
        assert own[name]["value"] == pytest.approx(blend[name]["value"], rel=2e-3)
    assert own["round_trip"]["value"] == pytest.approx(0.0, abs=1e-6)
    real = outcome.floors["real images"].metrics
    assert real["fd_domain"]["value"] < blend["fd_domain"]["value"]  # a blend is unlike a digit
    assert real["confidence"]["value"] > blend["confidence"]["value"]
    assert own["fd_domain"]["n"] == real["fd_domain"]["n"] == 80
    assert own["length"]["value"] > 0.99  # no shorter than the distance of its ends, which is 1 in the mean
    assert outcome.floors["nearest neighbour"].metrics["length"]["value"] is None
    assert outcome.pictures["lerp.png"].shape == (50, 1, 8, 8)
    assert outcome.pictures["lerp.gif"].shape == (18, 10, 1, 8, 8)
    assert (outcome.pictures["lerp.png"] == outcome.pictures["pixels.png"]).all()
    of_floors = {name for name, each in outcome.shown.items() if each.is_floor}
    assert of_floors == {f"{name}.{kind}" for name in ("pixels", "neighbours") for kind in ("png", "gif")}


def test_the_round_trip_through_pixels_loses_nothing() -> None:
    data = digits()
    model, task = Pixels(data.spec), Invert(num_images=50)
    outcome = task.solve(model, task.algorithm_for(model), data, "")
    assert outcome.lines[""].metrics["round_trip"]["value"] == pytest.approx(0.0, abs=1e-6)
    assert outcome.lines[""].metrics["square"]["value"] == pytest.approx(0.69, abs=0.05)  # mean square of the pixels
    assert 0.02 < outcome.floors["principal components"].metrics["round_trip"]["value"] < 0.2
    assert outcome.pictures["round_trip.png"].shape == (30, 1, 8, 8) and len(outcome.shown["round_trip.png"].rows) == 3


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="num_pairs=1: expected at least 2"):
        Interpolate(num_pairs=1)
    for steps in ([], [0], [5, 5]):
        with pytest.raises(ValueError, match="steps="):
            Invert(steps=steps)
    captioned = DataSpec((1, 8, 8), 17, condition=Condition("caption", 9, (4,)))
    for task in (Interpolate(), Invert(), Edit()):
        with pytest.raises(ValueError, match="conditional on caption; expected label or attributes"):
            task.check(captioned)


def test_the_conditions_go_along_with_the_codes() -> None:
    """Between two classes the mean moves too, so the straight way is the pixel blend, and every code has its way back."""
    data = digits()
    model, task = Shifted(data), Interpolate(num_pairs=60)
    outcome = task.solve(model, task.algorithm_for(model), data, "")
    own, blend = outcome.lines["lerp"].metrics, outcome.floors["pixel blend"].metrics
    assert own["round_trip"]["value"] == pytest.approx(0.0, abs=1e-6)
    for name in ("fd_domain", "confidence", "length"):
        assert own[name]["value"] == pytest.approx(blend[name]["value"], rel=2e-3)
    found = Invert(num_images=50).solve(model, task.algorithm_for(model), data, "").lines[""].metrics
    assert found["round_trip"]["value"] == pytest.approx(0.0, abs=1e-6)
    test = some(data, "test", 50)
    within = (test.unit - model.means[test.y]).square().mean().item()
    assert found["square"]["value"] == pytest.approx(within, rel=1e-4)
