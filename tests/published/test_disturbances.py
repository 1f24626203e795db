"""The disturbance suite: the disturbances themselves, verdicts on curves, and the distance in domain features on digits."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from genarena.data.batches import Split
from genarena.data.digits import Digits
from genarena.errors import UserError
from genarena.evaluation.weights import FeatureSettings
from genarena.published import disturbance_report, disturbances
from genarena.published.disturbances import DISTURBANCES, Curve, Subject, measured, usual_metrics
from genarena.spec import DataSpec


def digits() -> Digits:
    data = Digits(DataSpec((1, 8, 8), 17, 10))
    data.setup()
    return data


def subject(data: Digits) -> Subject:
    return Subject(data.val, data.train.x, 17, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", DISTURBANCES)
def test_images_move_farther_away_and_stay_images(name: str) -> None:
    data = digits()
    disturb, strengths = DISTURBANCES[name]
    moved = []
    for strength in strengths:
        x = disturb(subject(data), strength)
        assert x.dtype == torch.uint8 and int(x.max()) <= 16 and x.shape[1:] == (1, 8, 8)
        if name == "dropped classes":
            continue
        assert len(x) == data.val.size
        moved.append((x.float() - data.val.x.float()).abs().mean().item())
    assert moved == sorted(moved) and (not moved or moved[0] > 0.0)


def test_copies_are_training_images_and_dropped_classes_are_absent() -> None:
    data = digits()
    known = {row.numpy().tobytes() for row in data.train.x}
    x = disturbances.copies(subject(data), 0.25)
    assert all(row.numpy().tobytes() in known for row in x[:45])
    assert torch.equal(x[45:], data.val.x[45:])
    parts = [disturbances.dropped_classes(subject(data), strength) for strength in (0.0, 0.5)]
    assert len(parts[0]) == len(parts[1]) < data.val.size
    lower = {row.numpy().tobytes() for row in data.val.x[data.val.y < 5]}
    assert {row.numpy().tobytes() for row in parts[1]} == lower


@pytest.mark.parametrize(
    "metric, disturbance, values, verdict",
    [
        ("fd_domain", "noise", [[1.0, 2.0, 3.0]] * 2, "as it should"),
        ("fd_domain", "noise", [[1.0, 3.0, 2.0]] * 2, "not monotone"),
        ("fd_domain", "noise", [[1.0, 3.0, 2.9], [1.0, 3.0, 3.1]], "as it should"),  # within the standard error
        ("fd_domain", "noise", [[1.0, 1.0, 0.5], [1.0, 1.0, 1.6]], "blind"),
        ("precision", "blur", [[0.9, 0.5, 0.1]] * 2, "as it should"),
        ("precision", "blur", [[0.1, 0.5, 0.9]] * 2, "blind"),
        ("precision", "dropped classes", [[0.9, 0.5, 0.1]] * 2, "-"),
        ("authpct", "copies", [[50.0, 20.0, 0.0]] * 2, "as it should"),
    ],
)
def test_verdicts(metric: str, disturbance: str, values: list, verdict: str) -> None:
    assert Curve(metric, disturbance, (0, 1, 2), values).verdict == verdict


def test_every_metric_of_images_has_an_expected_change() -> None:
    """A new metric says in EXPECTED what it is for."""
    for metric in usual_metrics():
        if metric != "class_accuracy":
            assert any(Curve(metric, name, (0, 1), [[0.0, 1.0]]).expected for name in DISTURBANCES), metric


@pytest.mark.slow
def test_the_distance_in_domain_features_rises_on_digits(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    chosen = ("noise", "blur", "dropped classes", "copies")
    monkeypatch.setattr(
        disturbances,
        "DISTURBANCES",
        {name: (disturb, strengths[::3]) for name, (disturb, strengths) in DISTURBANCES.items() if name in chosen},
    )
    metrics = ["fd_domain", "precision", "recall", "fd_clip"]
    curves, reasons = measured(digits(), metrics, 270, 2, FeatureSettings())
    assert set(reasons) == {"fd_clip"}
    verdict = {(curve.metric, curve.disturbance): curve.verdict for curve in curves}
    for name in ("noise", "blur", "dropped classes"):
        assert verdict["fd_domain", name] == "as it should"
    assert verdict["recall", "dropped classes"] == "as it should"
    assert verdict["fd_domain", "copies"] == "-"
    facts = {"data": "digits", "n": 270, "repeats": 2}
    paths = disturbance_report.write(curves, reasons, facts, tmp_path)
    stored = json.loads(paths[0].read_text())
    assert len(stored["curves"]) == len(curves) and stored["curves"][0]["strengths"][0] == 0
    assert "| `fd_domain` |" in paths[1].read_text() and "No value: `fd_clip`" in paths[1].read_text()
    once = disturbance_report.write(curves, reasons, facts | {"repeats": 1}, tmp_path)[1].read_text()
    assert "in either half, 1 random split\n" in once


def test_the_command_on_the_page_has_no_place_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "disturb.py"), run_name="disturb")
    typed = ["data=mnist", "data.root=/here", "runs_dir=r", "out=o", "features.inception_weights=/there", "repeats=2"]
    monkeypatch.setattr(sys, "argv", ["disturb.py", *typed, "features.space=inception"])
    assert script["command"]() == "python scripts/disturb.py data=mnist repeats=2 features.space=inception"


def test_only_for_labelled_images_of_levels() -> None:
    data = digits()
    data.test = Split(data.test.x)
    with pytest.raises(UserError, match="labelled"):
        measured(data, ["fd_domain"], 10, 1, FeatureSettings())
