"""`scripts/nfe_curve.py` on a short run of vectors: its points are those of evaluations one by one, and what it refuses."""

import csv
import json
import math
import signal
import statistics
import sys
from pathlib import Path

import pytest
from PIL import Image
from scipy import stats

from genarena import api
from genarena.errors import UserError
from genarena.evaluation.evidence.samples import Drawn, Samples
from genarena.metrics.energy_distance import EnergyDistance
from genarena.run import run
from genarena.runs.interruption import Interrupted
from genarena.scripts import nfe_curve
from tests.small_run import small

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    run(small("ddpm", "toy2d", runs, "model.num_steps=30", "sampler.nfe=4", "evidence.examples.num_test=60"))
    return next(runs.glob("toy2d/ddpm/*"))


def call(monkeypatch: pytest.MonkeyPatch, folder: Path, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["nfe_curve.py", f"run={folder}", "num_samples=60", *options])
    nfe_curve.main()


def test_points_are_those_of_evaluations_one_by_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call(monkeypatch, folder, "samplers=[ddim,heun,predictor_corrector]", "nfe=[1,6]", "repeats=2", f"out={tmp_path}")
    record = json.loads((tmp_path / "nfe_curve.json").read_text())
    points = {(point["sampler"], point["nfe"]): point for point in record["points"]}
    assert list(points) == [("ddim", 1), ("ddim", 6), ("heun", 1), ("heun", 5), ("predictor_corrector", 6)]
    assert record["left_out"] == [
        "predictor_corrector at 1: sampler.nfe=1: expected at least 2, the evaluations at one level"
    ]
    model = api.load(folder, sampler={"sampler": "heun", "sampler.nfe": 6})
    data = api.load_data(folder)
    values = [
        api.evaluate(
            model,
            data,
            ["energy_distance"],
            {"evidence.samples.num_samples": 60, "evidence.examples.num_test": 60},
            api.EvaluationSettings(sample_seed=seed),
        )["energy_distance"]["value"]
        for seed in (0, 1)
    ]
    point = points["heun", 5]
    assert point["values"] == pytest.approx(values) and values[0] != values[1]
    assert point["mean"] == pytest.approx(statistics.mean(values))
    half = stats.t.ppf(0.975, 1) * statistics.stdev(values) / math.sqrt(2)
    assert point["half_width"] == pytest.approx(half)
    rows = list(csv.DictReader((tmp_path / "nfe_curve.csv").open()))
    assert [(row["sampler"], int(row["nfe"])) for row in rows] == list(points)
    assert Image.open(tmp_path / "nfe_curve.png").size[0] > 100


def test_every_sampler_that_fits_is_drawn_by_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    call(monkeypatch, folder, "nfe=[4]", "repeats=1", f"out={tmp_path}")
    record = json.loads((tmp_path / "nfe_curve.json").read_text())
    expected = ["ancestral", "ddim", "dpm_solver", "dpm_solver_3m", "edm_heun", "heun", "predictor_corrector", "unipc"]
    assert [point["sampler"] for point in record["points"]] == expected
    assert {point["half_width"] for point in record["points"]} == {None}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["samplers=[ddimm]"], "samplers=ddimm: there is no such sampler; available: ancestral, "),
        (["samplers=[temperature]"], "samplers=temperature: does not fit DDPM; that takes ancestral, "),
        (["nfe=[4,31]", "samplers=[ddim]"], "nfe=31: sampler.nfe=31: expected at most 30, for a schedule of 30 steps"),
        (["nfe=[0]"], "nfe=.0.: expected"),
        (["nfe=[]"], "nfe=.*: expected at least one"),
        (["metric=bits_per_dim"], "metric=bits_per_dim: it does not depend on samples"),
        (["metric=fdd"], "fdd"),
        (["metric=fd_domain"], "metric=fd_domain: the domain classifiers need images"),
        (["metric=class_accuracy"], "metric=class_accuracy: "),
        (["metric=log_mel_l1"], "metric=log_mel_l1: needs a model of sound given its mel"),
        (["metric=recall", "num_samples=2"], "metric=recall: needs at least"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: list[str], expected: str
) -> None:
    monkeypatch.setattr(type(api.load(folder)), "sample", no_samples)
    with pytest.raises(UserError, match=expected) as error:
        call(monkeypatch, folder, *options, "repeats=1", f"out={tmp_path / 'out'}")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_metric_that_two_samplers_do_not_have_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(EnergyDistance, "compute", lambda self: math.nan)
    with pytest.raises(UserError, match="^metric=energy_distance: the value is nan"):
        call(monkeypatch, folder, "samplers=[ddim,ancestral]", "nfe=[1,2,3]", "repeats=1", f"out={tmp_path}")
    assert len(capsys.readouterr().out.splitlines()) == 4 and not (tmp_path / "nfe_curve.json").exists()


def no_samples(*_: object) -> None:
    raise AssertionError("samples are drawn")


def interrupted_after_two(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def drawing(self: Samples, num_samples: int) -> Drawn:
        drawn.append(1)
        if len(drawn) == 3:
            raise Interrupted(signal.SIGTERM)
        return whole(self, num_samples)

    whole = Samples.drawn
    drawing.is_piece = True
    monkeypatch.setattr(Samples, "drawn", drawing)


def test_points_are_told_as_they_come_and_kept_when_interrupted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    interrupted_after_two(monkeypatch)
    with pytest.raises(Interrupted):
        call(monkeypatch, folder, "samplers=[ddim]", "nfe=[2,3,4]", "repeats=1", f"out={tmp_path}")
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in said[:2]] == [["ddim", "nfe", str(nfe), "energy_distance"] for nfe in (2, 3)]
    assert said[2] == "interrupted after 2 of 3 points, which are kept" and "failed" not in "".join(said)
    record = json.loads((tmp_path / "nfe_curve.json").read_text())
    assert [point["nfe"] for point in record["points"]] == [2, 3] and record["interrupted"] == ["ddim at 4"]


def test_a_model_without_such_samplers_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run(small("vae", "toy2d", tmp_path))
    (folder,) = tmp_path.glob("toy2d/*/*")
    with pytest.raises(UserError, match="VAE has no sampler whose number of network evaluations can be chosen"):
        call(monkeypatch, folder)
