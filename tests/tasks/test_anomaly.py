"""The task on a Gaussian of digits: cases, lines beside floors, pictures; and what it refuses before any model is loaded."""

import pytest

from genarena.data.digits import Digits
from genarena.models.baseline.gaussian import Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.anomaly import Anomaly
from genarena.tasks.detecting.scores import Scores

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
    assert found.pictures["extremes.png"].shape[0] == 40 and len(found.facts["sha256_of_outside"]) == 64


def test_settings_name_the_pair_and_no_other() -> None:
    one, two = Anomaly(against=["vflip", "noise"]), Anomaly(against=["noise"], algorithm=Scores(scores=["nll"]))
    assert one.settings("against_noise") == two.settings("against_noise") == {"against": "noise", "num_images": 5_000}


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
        Anomaly().check(DataSpec((2,)))
