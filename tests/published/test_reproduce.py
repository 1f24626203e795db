"""Experiments compose and can be built; a finished run is reused, an interrupted one resumed; reached means reached."""

import inspect
import json
import sys
from functools import cache
from pathlib import Path

import pytest
from hydra.utils import get_object

from genarena import config
from genarena.build import build
from genarena.errors import Diverged, UserError
from genarena.evaluation.asked import load_metric
from genarena.evaluation.backbones import BACKBONES
from genarena.leaderboard.trusted import find_trust
from genarena.metrics import names as metric_names
from genarena.published import reproduce
from genarena.published.experiment import setting
from genarena.published.reproduce import Outcome, Published, find_run, published
from tests.pixels import Pixels

EXPERIMENTS = config.available("experiment")
composed = cache(setting)
FAMILIES = {"vae", "flow", "autoregressive", "gan", "diffusion", "energy", "invertible_ae"}
NLL = Published("nll_nats", 84.87, 0.5, "a paper", "nothing", "an hour")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_a_setting_that_can_be_built(name: str) -> None:
    cfg = composed(name)
    pinned = published(cfg)
    assert pinned.metric in metric_names()
    assert pinned.reference == "train" or pinned.metric in cfg["metrics"]
    assert (pinned.reference == "train") == (pinned.metric == "fid")  # papers' FID is against the training images
    assert cfg["budget"]["name"] == name  # its rows stand on a table of their own
    assert cfg["budget"]["examples"] and not cfg["budget"]["minutes"]
    accepted = inspect.signature(get_object(cfg["model"]["_target_"])).parameters
    assert set(cfg["model"]) - {"_target_"} <= set(accepted)
    assert sum(p.numel() for p in build(cfg["model"], "model").parameters()) > 1000


def test_every_family_has_an_experiment_and_three_need_no_gpu() -> None:
    cfgs = [composed(name) for name in EXPERIMENTS]
    assert {cfg["model"]["_target_"].split(".")[2] for cfg in cfgs} >= FAMILIES
    assert sum(cfg["trainer"]["accelerator"] == "cpu" for cfg in cfgs) >= 3


def test_dynamic_binarisation_is_compared_with_dynamic_binarisation() -> None:
    for name in EXPERIMENTS:
        cfg = composed(name)
        if cfg["choices"]["data"] == "binary_mnist":
            assert "dynamic" in published(cfg).source


@pytest.mark.parametrize(
    ("metric", "value", "reached"),
    [
        ("nll_nats", 85.36, True),
        ("nll_nats", 85.38, False),
        ("nll_nats", 80.0, True),
        ("inception_score", 84.38, True),
        ("inception_score", 84.36, False),
        ("inception_score", 90.0, True),
    ],
)
def test_reached_is_as_good_but_for_the_tolerance(metric: str, value: float, reached: bool) -> None:
    pinned = Published(metric, 84.87, 0.5, "", "", "")
    assert load_metric(metric).higher_is_better is (metric == "inception_score")
    assert pinned.reached(value) is reached
    text = Outcome("x", pinned, {"value": value, "sign": "="}).text
    assert text.startswith("reached " if reached else "not reached ")
    assert "84.87" in text and f"{value:.5g}" in text


def test_nothing_measured_is_not_reached() -> None:
    outcome = Outcome("x", NLL, {"value": None, "reason": "no data"})
    assert not outcome.reached
    assert "no data" in outcome.text and "84.87" in outcome.text


def test_what_makes_another_experiment_is_refused() -> None:
    with pytest.raises(UserError, match=r"model.hidden=\[3\]: an experiment pins its setting"):
        setting("fvsbn_binary_mnist", ["model.hidden=[3]"])
    with pytest.raises(UserError, match="did you mean fvsbn_binary_mnist"):
        setting("fvsbn_binary_mnst")
    assert setting("fvsbn_binary_mnist", ["data.root=/there"])["data"]["root"] == "/there"


# -- running: one experiment of a few seconds, put beside the others ---------------------------------------------------

TINY = """# @package _global_
defaults: [override /model: made, override /data: digits, override /budget: smoke]
model: {hidden: [8]}
budget: {name: tiny, examples: 512}
metrics: [nll_nats]
published: {metric: nll_nats, value: %s, tolerance: 1.0, source: here, differs: nothing, cost: seconds}
"""


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Overrides for the experiment `tiny` in a copy of conf/."""
    conf = tmp_path / "conf"
    for path in config.CONF.rglob("*.yaml"):
        target = conf / path.relative_to(config.CONF)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text())
    (conf / "experiment" / "tiny.yaml").write_text(TINY % 200.0)
    monkeypatch.setattr(config, "CONF", conf)
    return [f"runs_dir={tmp_path}/runs", "callbacks.progress=false", "logger=none"]


def test_a_finished_run_is_reused_and_an_interrupted_one_resumed(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    def stops(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("genarena.run.evaluate", stops)
        with pytest.raises(KeyboardInterrupt):
            reproduce.reproduce("tiny", tiny)
    (path,) = tmp_path.glob("runs/digits/made/*")
    assert json.loads((path / "result.json").read_text())["error"] == "interrupted"
    outcome = reproduce.reproduce("tiny", tiny)
    assert list(tmp_path.glob("runs/digits/made/*")) == [path]
    row = json.loads((path / "result.json").read_text())
    assert "experiment=tiny" in row["overrides"]  # the row says that it is not the model as shipped
    assert row["budget"]["name"] == "tiny"
    assert outcome.record["value"] == row["metrics"]["nll_nats"]["value"]
    assert outcome.reached == (outcome.record["value"] <= 201.0)
    (number,) = find_trust(tmp_path / "runs").numbers  # as the leaderboard shows it
    assert (number.folder, number.content["reached"]) == (path, outcome.reached)
    assert number.content["record"]["value"] == outcome.record["value"]
    assert number.content["command"] == "python scripts/reproduce.py name=tiny"
    monkeypatch.setattr(reproduce, "run", lambda cfg: pytest.fail("run again although it is finished"))
    assert reproduce.reproduce("tiny", tiny) == outcome
    (config.CONF / "experiment" / "tiny.yaml").write_text(TINY.replace("512", "640") % 200.0)
    assert find_run(setting("tiny", tiny)) is None  # a changed setting is another experiment


def test_a_run_that_fails_is_not_reached(tiny: list[str], monkeypatch) -> None:
    def diverges(cfg: object) -> None:
        raise Diverged("training diverged")

    monkeypatch.setattr(reproduce, "run", diverges)
    outcome = reproduce.reproduce("tiny", tiny)
    assert not outcome.reached
    assert "training diverged" in outcome.text


def test_the_script_says_both_numbers_and_exits_by_them(tiny: list[str], monkeypatch, capsys) -> None:
    import runpy

    script = str(Path(__file__).parents[2] / "scripts" / "reproduce.py")
    for value, code in ((1000.0, 0), (1.0, 1)):
        (config.CONF / "experiment" / "tiny.yaml").write_text(TINY % value)
        monkeypatch.setattr(sys, "argv", ["reproduce.py", "name=tiny", *tiny])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(script, run_name="__main__")
        assert stopped.value.code == code
        assert ("not reached" in capsys.readouterr().out) == bool(code)
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "name=tinny"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(script, run_name="__main__")
    assert stopped.value.code == 2


def test_against_the_official_training_file(tiny: list[str], tmp_path: Path, monkeypatch) -> None:
    """The features are needed before the run starts; the reference is train and validation; the number is kept."""
    monkeypatch.setattr(load_metric("kid"), "min_examples", 2)
    text = TINY.replace("[nll_nats]", "[]").replace("metric: nll_nats", "metric: kid, reference: train") % 1000.0
    (config.CONF / "experiment" / "tiny.yaml").write_text(text)
    outcome = reproduce.reproduce("tiny", tiny)
    assert "kid cannot be measured: no Inception weights" in outcome.text
    assert not list(tmp_path.glob("runs/*/*/*"))
    monkeypatch.setitem(BACKBONES, "inception", Pixels)
    outcome = reproduce.reproduce("tiny", tiny)
    assert outcome.record["value"] > 0
    assert (outcome.record["n"], outcome.record["n_real"]) == (1257 + 180, 1257 + 180)
    monkeypatch.setattr(reproduce, "evaluate", lambda *_: pytest.fail("measured again"))
    assert reproduce.reproduce("tiny", tiny).record["value"] == outcome.record["value"]
