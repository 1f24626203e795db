"""The task on a Gaussian of digits: cases, lines beside floors, pictures; and what it refuses before any model is loaded."""

from pathlib import Path

import pytest
import torch

from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, Condition, DataSpec
from genarena.tasks import task_run
from genarena.tasks.anomaly import Anomaly
from genarena.tasks.choosing import chosen
from genarena.tasks.detecting.scores import Scores, judge_of

SPEC = DataSpec((1, 8, 8), 17, 10)


@pytest.fixture(scope="module")
def digits() -> Digits:
    data = Digits(spec=SPEC)
    data.setup()
    return data


def test_a_case_has_the_scores_of_the_model_and_the_floors(digits: Digits) -> None:
    model = Gaussian(SPEC)
    model.observe(Batch(digits.train.x))
    task = Anomaly(against=["vflip", "noise"], num_images=60)
    assert task.cases(SPEC) == ("against_vflip", "against_noise")
    algorithm = task.algorithm_for(model)
    found = task.solve(model, algorithm, digits, "against_noise")
    assert list(found.lines)[:3] == ["nll", "typicality", "complexity"] and found.num_examples == 60
    assert found.lines["nll"].metrics["auroc"]["value"] > 0.99
    assert found.lines["nll"].metrics["auroc"]["value"] == found.floors["full gaussian"].metrics["auroc"]["value"]
    assert {"png length", "png length, negative", "uniform random", "knn"} <= set(found.floors)
    assert len(found.shown["extremes.png"].rows) == 4 and found.shown["scores.png"].rows == ()
    assert found.pictures["extremes.png"].shape[0] == 40 and len(found.facts["sha256_of_outside"]) == 64


def test_settings_name_the_pair_and_no_other() -> None:
    one, two = Anomaly(against=["vflip", "noise"]), Anomaly(against=["noise"], algorithm=Scores(scores=["nll"]))
    assert one.settings("against_noise") == two.settings("against_noise") == {"against": "noise", "num_images": 5_000}


def test_a_pair_is_checked_before_the_model_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [1, 8, 8], "num_levels": 17}
    monkeypatch.setattr(task_run.RunFolder, "rebuild", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.setattr(task_run, "finished", lambda run: (task_run.RunFolder(tmp_path), {"status": "ok"}))
    monkeypatch.setattr(task_run.stored_config, "load", lambda path: {"data": {"spec": spec}})
    with pytest.raises(UserError, match=r"^task=anomaly: against=mnist: it has shape \(1, 28, 28\) and 256 levels"):
        next(task_run.solve(tmp_path, chosen("anomaly", {"against": "mnist"})))


def test_pairs_that_cannot_be_compared_are_refused() -> None:
    for against, said in (
        (["mnist"], r"against=mnist: it has shape \(1, 28, 28\) and 256 levels, and the data of this run \(1, 8, 8\)"),
        (["hflip", "vflop"], "against=vflop: there is no such data set or transform; did you mean vflip"),
    ):
        with pytest.raises(ValueError, match=said):
            Anomaly(against=against).check(SPEC)
    with pytest.raises(ValueError, match="expected different sets, at least one"):
        Anomaly(against=["noise", "noise"])
    with pytest.raises(ValueError, match="needs images of integer levels"):
        Anomaly().check(DataSpec((1, 8, 8)))
    with pytest.raises(ValueError, match="the model is conditional on caption; expected label, or no condition"):
        Anomaly().check(DataSpec((1, 8, 8), 17, condition=Condition("caption", 9, (4,))))


def test_a_score_without_the_label_says_that_the_model_has_one(digits: Digits) -> None:
    model = ByLabel([])
    with pytest.raises(ValueError, match="ByLabel has no score nll: it was trained with data.condition=label"):
        Scores(scores=["nll"]).found(judge_of(Scores(), model, digits))


class ByLabel(Gaussian):
    """A Gaussian per class."""

    spec = DataSpec((1, 8, 8), 17, 10, condition="label")

    def __init__(self, parts: list[Gaussian]) -> None:
        super().__init__(SPEC)
        self.spec, self.parts = ByLabel.spec, parts

    def log_prob(self, x: torch.Tensor, y: torch.Tensor | None = None, num_samples: int = 1) -> torch.Tensor:
        return self.parts[int(y[0])].log_prob(x)


def test_one_class_is_the_mean_over_classes_for_floors_and_models_of_labels(digits: Digits) -> None:
    task = Anomaly(against=["noise"], one_class=True, num_images=60)
    assert task.cases(SPEC) == ("against_noise", "one_class")
    parts = []
    for label in range(10):
        parts.append(Gaussian(SPEC))
        parts[-1].observe(Batch(digits.train.x[digits.train.y == label]))
    found = task.solve(ByLabel(parts).eval(), Scores(), digits, "one_class")
    own, floor = (each.metrics["auroc"] for each in (found.lines["nll of the class"], found.floors["full gaussian"]))
    assert own["value"] == pytest.approx(floor["value"], abs=1e-9) and own["value"] > 0.95
    assert len(floor["of_classes"]) == 10 and floor["value"] == pytest.approx(sum(floor["of_classes"]) / 10)
    assert found.floors["uniform random"].metrics["auroc"]["value"] == pytest.approx(0.5, abs=0.1)
    with pytest.raises(
        ValueError, match=r"one_class=true: Gaussian has no likelihood .* data.only=<label> and ask against=o"
    ):
        task.algorithm_for(parts[0], "one_class")
    assert task.algorithm_for(parts[0], "against_noise") == task.algorithm_for(ByLabel(parts), "one_class") == Scores()
    with pytest.raises(ValueError, match="one_class=true: needs data with labels"):
        Anomaly(against=["noise"], one_class=True).check(DataSpec((1, 8, 8), 17))
