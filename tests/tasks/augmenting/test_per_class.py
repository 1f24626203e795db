"""Runs of one label each are together a model of all labels: those of Gaussians are the floor of class Gaussians."""

from pathlib import Path

import pytest

from genarena.config import compose
from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.run import run
from genarena.runs import stored_config
from genarena.runs.folder import RunFolder
from genarena.spec import DataSpec
from genarena.tasks import choosing, task_run
from genarena.tasks.augmenting.per_class import PerClass

QUIET = ["budget=smoke", "metrics=[]", "callbacks.progress=false", "callbacks.grid_size=1", "logger=none"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of a Gaussian on a tenth of the digits, a label each."""
    folder = tmp_path_factory.mktemp("runs")
    for label in range(10):
        options = ["model=gaussian", "data=digits", f"+data.only={label}", "+data.label_fraction=0.1"]
        run(compose([*options, *QUIET, f"runs_dir={folder}"]))
    found = [path.parent for path in sorted(folder.glob("digits/gaussian/*/config.yaml"))]
    return sorted(found, key=lambda path: stored_config.load(path / "config.yaml")["data"]["only"])


def test_gaussians_of_one_label_each_are_the_floor(runs: list[Path]) -> None:
    options = {"label_fraction": [0.1], "algorithm": "per_class", "algorithm.runs": [str(runs[0].parent)]}
    node = choosing.chosen("augment", {**options, "num_seeds": 1, "steps": 4})
    (solved,) = task_run.solve(runs[3], node)
    (line,), floor = solved.row["task"]["lines"].values(), solved.row["task"]["floors"]["class Gaussian"]
    for name in ("nas", "cas", "gan_test"):
        assert line["metrics"][name]["value"] == floor["metrics"][name]["value"]
    assert list(solved.row["task"]["lines"]) == ["per_class"]  # it saw what the classifiers saw
    whole = Digits(DataSpec((1, 8, 8), 17, 10))
    whole.setup()
    assert solved.row["data"]["id"] == whole.facts["id"]  # so that it stands in the table of the other models
    facts = solved.row["task"]["algorithm"]["facts"]
    assert facts["labelled"] == 126 and facts["model_saw"] == "126 training images, all with their labels"
    sums = solved.row["task"]["algorithm"]["options"]["runs"]
    assert len(set(sums)) == 10 and all(len(each) == 8 for each in sums)


def test_runs_that_do_not_belong_together_are_refused(runs: list[Path], tmp_path: Path) -> None:
    cfg = stored_config.load(RunFolder.open(runs[0]).config)["data"]
    PerClass(tuple(map(str, runs))).check(cfg | {"only": 5})
    for chosen, data, said in (
        ([], cfg, "algorithm.runs is missing"),
        (runs[:-1], cfg, "there is no run of label 9, trained with data.only=9"),
        (runs, cfg | {"label_fraction": None}, r"has data.label_fraction=0.1"),
        ([tmp_path], cfg, "there is no finished run"),
    ):
        with pytest.raises(UserError, match=said) as told:
            PerClass(tuple(map(str, chosen))).check(data)
        assert "\n" not in str(told.value)
    for options, said in (({}, "algorithm=per_class"), ({"seed": 1, "algorithm": "per_class"}, "seed=1: expected 0")):
        options |= {"algorithm.runs": [str(runs[0].parent)]} if "algorithm" in options else {}
        with pytest.raises(UserError, match=said):
            task_run.opened(runs[0], choosing.chosen("augment", options))
