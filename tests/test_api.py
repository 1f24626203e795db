"""The API trains and measures what the command line does, in memory, and leaves nothing behind."""

import copy
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from genarena import api
from genarena.config import compose
from genarena.data.digits import Digits
from genarena.data.scenery.drawing import PALETTE
from genarena.data.scenes_palette import ScenesPalette
from genarena.errors import Diverged, Untrusted, UserError
from genarena.evaluation.blocks import BLOCK
from genarena.evaluation.validation_quality import DomainDistance
from genarena.leaderboard.runs import find_runs
from genarena.leaderboard.tables import make_tables
from genarena.models.baseline.gaussian import Gaussian
from genarena.models.vae.vae import VAE
from genarena.run import run
from genarena.runs.folder import RunFolder
from genarena.runs.results import write_row
from genarena.spec import DataSpec

SPEC = DataSpec((1, 8, 8), 17, 10)
FEW = {"evidence.samples.num_samples": 32, "evidence.examples.num_test": 32}
SMALL = {"model.channels": 8, "model.hidden": 16, "budget.validations": 4, "budget.num_val": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run of the small VAE."""
    runs_dir = tmp_path_factory.mktemp("runs")
    line = ["model=vae", "data=digits", "budget=smoke", "budget.examples=1024", "metrics=[nll_nats]", "seed=3"]
    line += [f"{key}={value}" for key, value in SMALL.items()]
    run(compose([*line, "logger=none", "callbacks.progress=false", "callbacks.grid_size=4", f"runs_dir={runs_dir}"]))
    return RunFolder.open(next(runs_dir.glob("digits/vae/*")))


@pytest.fixture(scope="module")
def fitted() -> api.Fitted:
    return api.fit("vae", "digits", "smoke", examples=1024, options={**SMALL, "seed": 3})


def test_the_weights_and_numbers_are_those_of_a_run(folder: RunFolder, fitted: api.Fitted) -> None:
    """Averaged, best on validation, after the same steps: bitwise."""
    stored = api.load(folder.path)
    assert not stored.training and not fitted.model.training
    state = fitted.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in stored.state_dict().items())
    row = api.rescore(folder.path)
    assert row["weights"] == fitted.weights
    assert fitted.cost["examples_seen"] == row["cost"]["examples_seen"] == 1024
    assert fitted.cost["parameters"] == row["cost"]["parameters"]
    records = api.evaluate(fitted.model, fitted.data, ["nll_nats"], {"evidence.examples.num_test": 64}, run_seed=3)
    assert records["nll_nats"]["value"] == row["metrics"]["nll_nats"]["value"]


def test_a_metric_takes_its_own_options(folder: RunFolder, fitted: api.Fitted) -> None:
    """By the names of the command line; what stays unnamed is that of the run."""
    given = {"metric.iw_nll_nats.draws": 2, "metric.iw_nll_nats.num_test": 7}
    record = api.evaluate(fitted.model, fitted.data, ["iw_nll_nats"], FEW | given)["iw_nll_nats"]
    used = {"importance_weighted.draws": 2, "importance_weighted.num_test": 7}
    assert (record["n"], record["draws"], record["settings"]) == (7, 2, used)
    again = api.rescore(folder.path, ["iw_nll_nats"], options={"metric.iw_nll_nats.num_test": 9})
    used = {"importance_weighted.draws": 5, "importance_weighted.num_test": 9}  # 5 draws are those of budget=smoke
    assert again["metrics"]["iw_nll_nats"]["settings"] == used
    with pytest.raises(UserError, match=r"^metric.iw_nll_nats.draw: there is no such option; did you mean"):
        api.evaluate(fitted.model, fitted.data, ["iw_nll_nats"], {"metric.iw_nll_nats.draw": 2})


def test_a_run_scored_under_another_limit_has_another_column(folder: RunFolder, tmp_path: Path) -> None:
    """The run's own limit, asked for again, has the same."""
    copied = shutil.copytree(folder.path, tmp_path / "digits" / "vae" / folder.path.name)
    row = api.rescore(copied)
    (copied / "evaluations").mkdir()
    for limit in (64, 20):
        again = api.rescore(copied, options={"evidence.examples.num_test": limit})
        write_row(again, copied / "evaluations" / f"{limit}.json")
    (table,) = make_tables(find_runs(tmp_path)[0])
    titles = {column.title: column.protocol for column in table.columns if not column.is_cost}
    assert list(titles) == ["NLL", "NLL [examples.num_test 20, not 64]"]
    assert titles["NLL"] == row["metrics"]["nll_nats"]["protocol"]


def test_a_run_with_settings_of_another_version_is_refused_in_one_line(folder: RunFolder, tmp_path: Path) -> None:
    copy = shutil.copytree(folder.path, tmp_path / "run")
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("  sample_seed: 0\n", "  sample_seed: 0\n  iw_samples: 5\n"))
    with pytest.raises(UserError, match=r"^the run was made by another version .* has evaluation\.iw_samples$"):
        api.rescore(copy, ["nll_nats"])


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = torch.random.get_rng_state()
    trained = api.fit("gaussian", "digits", examples=256)
    api.sample(trained.model, 3)
    api.evaluate(trained.model, "digits", ["nll_nats"], FEW)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert list(tmp_path.iterdir()) == []


def test_objects_and_names_go_together() -> None:
    """A model brings its batch size to a named data set, a data set its shape to a named model."""
    torch.manual_seed(0)
    model = VAE(SPEC, channels=8, hidden=16)
    trained = api.fit(model, "digits", examples=256)
    assert trained.model is model
    assert trained.data.batch_size == model.settings.batch_size
    data = Digits(DataSpec((1, 8, 8), 17), batch_size=64)  # without labels
    by_name = api.fit("made", data, examples=128, options={"model.hidden": [8]})
    assert by_name.data is data
    assert by_name.model.spec == data.spec
    assert by_name.cost["examples_seen"] == 128
    again = api.fit("made", data, examples=128, options={"model.hidden": [8]})  # the same data, in the same order
    copied = copy.deepcopy(again.model).state_dict()
    assert all(torch.equal(value, copied[name]) for name, value in by_name.model.state_dict().items())
    records = api.evaluate(by_name.model, data, ["nll_nats", "fid"], FEW)
    assert records["nll_nats"]["value"] > 0
    assert records["fid"]["value"] is None and records["fid"]["reason"]


def test_a_data_set_with_captions_and_a_palette_brings_both() -> None:
    spec = DataSpec((1, 32, 32), 8, condition="caption", palette=PALETTE.tolist())
    data = ScenesPalette(spec, num_scenes=400, condition="caption")
    fitted = api.fit("made", data, examples=64, options={"model.hidden": [8]})
    assert fitted.model.spec == data.spec and "circle" in data.spec.condition.words
    caption = data.encode(["a red circle"])
    assert int(api.sample(fitted.model, 1, caption).max()) < 8


def test_a_budget_is_a_name_or_limits_or_both() -> None:
    assert api.fit("uniform", "digits", minutes=1e-9).cost["examples_seen"] == 64  # used up after a batch
    assert api.fit("uniform", "digits", examples=300).cost["examples_seen"] == 320  # batches of 64
    assert api.fit("uniform", "digits", "smoke").cost["examples_seen"] == 1024
    assert api.fit("uniform", "digits", "smoke", examples=128).cost["examples_seen"] == 128


def test_samples_choose_the_weights_unless_no_metric_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(DomainDistance, "__call__", lambda self, model: asked.append(type(model).__name__) or 1.0)
    few = {"model.training.batch_size": 32}
    assert "best val/fd_domain" in api.fit("dcgan", "digits", examples=64, options=few).weights
    assert set(asked) == {"DCGAN"}
    asked.clear()
    assert api.fit("dcgan", "digits", examples=64, options={"metrics": []} | few).weights.endswith("last")
    assert not asked


def test_samples_are_those_of_the_script(folder: RunFolder, tmp_path: Path) -> None:
    drawn = api.sample(folder.path, 7)
    assert drawn.shape == (7, 1, 8, 8) and drawn.dtype == torch.uint8
    assert torch.equal(drawn, api.sample(api.load(folder.path), 7))
    assert not torch.equal(drawn, api.sample(folder.path, 7, seed=1))
    model = api.load(folder.path)
    many = api.sample(model, BLOCK + 2)
    assert torch.equal(many[:BLOCK], api.sample(model, BLOCK))  # more samples begin with the same ones


def test_a_conditional_model_is_given_its_conditions() -> None:
    class Labels(Gaussian):
        conditional = True

        def sample(self, num_samples: int, y: torch.Tensor | None = None) -> torch.Tensor:
            return y.view(-1, 1, 1, 1).expand(num_samples, *self.spec.shape).to(torch.uint8)

    model = Labels(dataclasses.replace(SPEC, num_classes=10, condition="label")).eval()
    y = torch.arange(BLOCK + 5) % 10
    assert torch.equal(api.sample(model, len(y), y)[:, 0, 0, 0], y.to(torch.uint8))
    assert api.sample(model, 12)[:, 0, 0, 0].tolist() == [*range(10), 0, 1], "without y, labels in turn"
    with pytest.raises(UserError, match=r"y is torch.int64 \(3,\), expected label"):
        api.sample(model, 2, y[:3])
    with pytest.raises(UserError, match="y has label 11: expected 0 to 9"):
        api.sample(model, 2, torch.tensor([0, 11]))
    with pytest.raises(UserError, match="Gaussian was trained without conditions"):
        api.sample(Gaussian(SPEC).eval(), 2, y[:2])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "vea"}, "did you mean vae"),
        ({"data": "digit"}, "did you mean digits"),
        ({"budget": "cpu_1mn"}, "did you mean cpu_1min"),
        ({"examples": -3}, "budget.examples=-3: expected at least 1"),
        ({"examples": 0.5}, "budget.examples=0.5: expected int"),
        ({"minutes": 0}, "budget.minutes=0: expected a positive number"),
        ({"options": {"model.latnt_dim": 3}}, "did you mean model.latent_dim"),
        ({"options": {"runs_dir": "here"}}, "runs_dir: fit has no such option"),
        ({"options": {"evaluation.num_test": 3}}, "evaluation.num_test: fit has no such option"),
        ({"model": VAE(SPEC, channels=8, hidden=16), "options": {"model.beta": 2}}, "the model is an object"),
        ({"data": Digits(SPEC), "options": {"data.batch_size": 2}}, "the data is an object"),
        (
            {"model": VAE(DataSpec((1, 8, 8), 256), channels=8, hidden=16)},
            "made for data with num_levels=256, and",
        ),
        ({"options": {"trainer": "ddp", "trainer.accelerator": "cpu", "trainer.devices": 2}}, "in one process"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(arguments: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        api.fit(**{"model": "vae", "data": "digits", **arguments})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_trained_model_is_not_trained_again(fitted: api.Fitted) -> None:
    """Its cost would count a part of what it has seen."""
    with pytest.raises(UserError, match="VAE has been trained already"):
        api.fit(fitted.model, fitted.data, examples=128)


def test_training_that_diverges_says_so() -> None:
    class Broken(VAE):
        def loss(self, batch):
            return {name: value * float("nan") for name, value in super().loss(batch).items()}

    with pytest.raises(Diverged, match="training diverged"):
        api.fit(Broken(SPEC, channels=8, hidden=16), Digits(SPEC, batch_size=8), examples=10_000)


def test_evaluate_refuses_what_it_cannot_measure(fitted: api.Fitted) -> None:
    with pytest.raises(UserError, match="did you mean fid"):
        api.evaluate(fitted.model, fitted.data, ["fidd"], FEW)
    with pytest.raises(UserError, match="the model was made for"):
        api.evaluate(fitted.model, "toy2d", ["nll_nats"], FEW)
    with pytest.raises(ValueError, match="eval mode"):
        api.evaluate(VAE(SPEC, channels=8, hidden=16), fitted.data, ["nll_nats"], FEW)


def test_a_run_folder_is_a_strangers_file(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no run"):
        api.load(tmp_path)
    text = folder.config.read_text()
    (tmp_path / "config.yaml").write_text(text.replace("genarena.models.vae.vae.VAE", "os.system"))
    for use in (api.load, api.load_data, lambda run: api.sample(run, 1)):
        with pytest.raises(Untrusted, match=r"os\.system"):
            use(tmp_path)


def test_the_data_of_a_run_is_that_which_it_was_trained_on(folder: RunFolder, tmp_path: Path) -> None:
    expected = Digits(SPEC)
    expected.setup()
    assert torch.equal(api.load_data(folder.path).test.x, expected.test.x)
    text = folder.config.read_text()
    (tmp_path / "config.yaml").write_text(text.replace("data_id: digits", "data_id: other"))
    with pytest.raises(UserError, match="and the run was trained on other"):
        api.load_data(tmp_path)


def test_it_works_from_anywhere(tmp_path: Path) -> None:
    code = "from genarena import api; print(api.sample(api.fit('uniform', 'digits', examples=128).model, 2).shape)"
    environment = os.environ | {"PYTHONPATH": str(Path(api.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "torch.Size([2, 1, 8, 8])", done.stderr
    assert list(tmp_path.iterdir()) == []
