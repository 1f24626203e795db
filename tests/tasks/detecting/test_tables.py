"""Tables: rows of other labels are outside, with the floors and the scores that vectors have."""

from pathlib import Path

import pytest
import torch
from sklearn.ensemble import IsolationForest

from genarena.data.breast_cancer import BreastCancer
from genarena.errors import UserError
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec
from genarena.statistics.detection import auroc
from genarena.tasks import task_run
from genarena.tasks.anomaly import Anomaly
from genarena.tasks.choosing import chosen
from genarena.tasks.detecting.floors import Floors
from genarena.tasks.detecting.scores import Scores
from genarena.tasks.detecting.sets import Examples

SPEC = DataSpec((30,), num_classes=2)
OF_VECTORS = {
    *("full gaussian", "full gaussian, typicality", "diagonal gaussian", "pca residual", "knn", "pca mahalanobis"),
    *("isolation forest", "uniform random"),
}


def tumours(only: int | None) -> BreastCancer:
    data = BreastCancer(SPEC, only=only)
    data.setup()
    return data


def test_other_rows_are_told_from_test_rows() -> None:
    data, task = tumours(1), Anomaly()
    model = Gaussian(SPEC)
    model.observe(Batch(data.train.x))
    assert task.cases(SPEC) == ("against_others",)
    task.check(SPEC)
    found = task.solve(model.eval(), Scores(), data, "against_others")
    assert found.num_examples == data.test.size == found.facts["outside"]
    assert set(found.floors) == OF_VECTORS and list(found.pictures) == ["scores.png"]
    assert "complexity" not in found.lines
    order = torch.randperm(len(data.others), generator=torch.Generator().manual_seed(0))[: data.test.size]
    scores = [-model.log_prob(x).double().numpy() for x in (data.test.x, data.others[order])]
    assert (
        found.lines["nll"].metrics["auroc"]["value"] == pytest.approx(auroc(*scores).value)
        and auroc(*scores).value > 0.9
    )


def test_trees_split_the_columns_of_a_table() -> None:
    """As scikit-learn's forest on the rows themselves. Half of the principal components hide a fault in one of 30 columns."""
    data = tumours(1)
    broken = data.test.x.clone()
    broken[:, 4] += 6.0  # standard deviations
    fitted = Floors(data)
    forest = IsolationForest(random_state=0).fit(data.train.x.double().numpy())
    areas = []
    for score in (
        lambda x: fitted.isolation(Examples(x, SPEC)).numpy(),
        lambda x: -forest.score_samples(x.double().numpy()),
    ):
        areas.append(auroc(score(data.test.x), score(broken)).value)
    assert areas[0] == pytest.approx(areas[1], abs=0.01)
    assert Anomaly().constants(SPEC, "")["trees"] == "of columns"
    assert "trees" not in Anomaly().constants(DataSpec((1, 8, 8), 17), "")


def test_each_class_of_a_table_against_the_others() -> None:
    task = Anomaly(one_class=True)
    assert task.cases(SPEC) == ("one_class",)
    task.check(SPEC)
    model = Gaussian(SPEC)
    model.observe(Batch(tumours(None).train.x))
    found = task.solve(model.eval(), Scores(), tumours(None), "one_class")
    assert set(found.floors) == OF_VECTORS and not found.lines
    assert len(found.floors["knn"].metrics["auroc"]["of_classes"]) == 2


@pytest.mark.parametrize(
    ("options", "only", "said"),
    [
        ({}, None, "against=others: the run has learned examples of all labels; train with data.only=<label>"),
        ({"against": "others"}, None, "against=others: the run has learned examples of all labels"),
        ({"against": "vflip"}, 1, "against=vflip: is for images"),
        ({"against": "iris"}, 1, "against=iris: is for images; a table is compared with its own rows, against=others"),
        ({"against": "tabular"}, 1, "against=tabular: it needs options of its own"),
        ({"against": "othrs"}, 1, "against=othrs: there is no such data set or transform; did you mean others"),
        ({"one_class": True}, 1, "one_class=true: the run has learned one label, data.only=1: against=others"),
    ],
)
def test_what_does_not_fit_is_told_before_the_model_is_loaded(
    options: dict, only: int | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"_target_": "genarena.spec.DataSpec", "shape": [30], "num_classes": 2}
    monkeypatch.setattr(task_run.RunFolder, "rebuild", lambda *_: pytest.fail("the model was loaded"))
    monkeypatch.setattr(task_run, "finished", lambda run: (task_run.RunFolder(tmp_path), {"status": "ok"}))
    monkeypatch.setattr(task_run.stored_config, "load", lambda path: {"data": {"spec": spec, "only": only}})
    with pytest.raises(UserError, match=f"^task=anomaly: {said}"):
        task_run.opened(tmp_path, chosen("anomaly", options))
