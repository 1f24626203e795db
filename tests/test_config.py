"""A refused command line: one line, the nearest key or the allowed range, exit code 2, nothing written."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from genarena import config, plugins
from genarena.build import build
from genarena.errors import Untrusted, UserError
from genarena.runs import stored_config

ROOT = Path(__file__).parents[1]
GOOD = ["model=vae", "data=digits"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["data=digits"], ["model=<name> is missing", "vae"]),
        (["mdoel=vae", "data=digits"], ["model=<name> is missing (mdoel: there is no such option)"]),
        (["model=vea", "data=digits"], ["model=vea", "did you mean vae?", "glow"]),
        (["model=VAE", "data=digits"], ["did you mean vae?"]),
        (["model=vae", "data=mnits"], ["did you mean mnist?", "fashion_mnist"]),
        ([*GOOD, "budget=cpu_1mn"], ["did you mean cpu_1min?"]),
        ([*GOOD, "model.laten_dim=4"], ["model.laten_dim", "did you mean model.latent_dim?"]),
        ([*GOOD, "+model.laten_dim=4"], ["did you mean model.latent_dim?"]),
        ([*GOOD, "latent_dim=4"], ["latent_dim", "did you mean model.latent_dim?"]),
        ([*GOOD, "model.latent_dim=many"], ["model.latent_dim=many", "expected int"]),
        ([*GOOD, "model.latent_dim=0"], ["expected at least 1"]),
        ([*GOOD, "model.latent_dim=2.5"], ["expected int"]),
        ([*GOOD, "budget.minutes=yes"], ["budget.minutes=yes", "float"]),
        ([*GOOD, "budget.minutes=-1"], ["positive"]),
        ([*GOOD, "budget.examples=0"], ["at least 1"]),
        ([*GOOD, "seed=-1"], ["seed=-1", "0 to 4294967295"]),
        ([*GOOD, "seed=one"], ["expected int"]),
        ([*GOOD, "model.training.ema_decay=1.5"], ["0 to 1"]),
        ([*GOOD, "metrics=[bits_per_dm]"], ["bits_per_dm", "did you mean bits_per_dim"]),
        ([*GOOD, "metrics=recall"], ["expected a list"]),
        ([*GOOD, "budget.metrics=[recal]"], ["did you mean recall"]),
        ([*GOOD, "budget.minutes=inf"], ["expected a finite number"]),
        ([*GOOD, "budget.minutes=null"], ["a budget needs one"]),
        ([*GOOD, "budget.flops=0"], ["budget.flops=0", "positive"]),
        ([*GOOD, "seed=99999999999"], ["seed=99999999999", "0 to 4294967295"]),
        ([*GOOD, "model.training.optimizer.lrr=1"], ["did you mean model.training.optimizer.lr?"]),
        ([*GOOD, "trainer.precision=bf17"], ["bf16-mixed"]),
        ([*GOOD, "trainer.precision=32"], ["32-true"]),
        ([*GOOD, "trainer.max_steps=3"], ["there is no such option"]),
        ([*GOOD, "logger.kind=wandbb"], ["wandb"]),
        ([*GOOD, "features.inception_weight=x"], ["did you mean features.inception_weights?"]),
        ([*GOOD, "~seed"], ["cannot be removed"]),
        ([*GOOD, "seed=[1"], ["seed=[1"]),
        ([*GOOD, "data.max_train=0"], ["data.max_train=0", "at least 1"]),
        ([*GOOD, "data.max_train=many"], ["data.max_train=many", "int or null"]),
        (
            ["model=vae", "data=image_folder", "data.root=x", "data.on_error=ignore"],
            ["data.on_error=ignore", "raise, skip"],
        ),
        (
            ["model=vae", "data=image_folder", "data.root=x", "data.background=pink"],
            ["data.background=pink", "white, grey, black, refuse"],
        ),
        ([*GOOD, "metric.iw_nll_nats.draws=0"], ["metric.iw_nll_nats.draws=0", "at least 1"]),
        ([*GOOD, "evidence.samples.num_samples=1.5"], ["evidence.samples.num_samples=1.5", "expected int"]),
        ([*GOOD, "evidence.samples.num_sampels=9"], ["did you mean evidence.samples.num_samples?"]),
        ([*GOOD, "evidence.sampels.num_samples=9"], ["did you mean evidence.samples.num_samples?"]),
        ([*GOOD, "evidence.samples=9"], ["it has options of its own, e.g. evidence.samples.num_samples="]),
        ([*GOOD, "evaluation.num_samples=9"], ["evaluation.num_samples: there is no such option; did you mean"]),
        ([*GOOD, "metric.ode_nll_nats.tolerance=0"], ["metric.ode_nll_nats.tolerance=0", "a positive number"]),
        ([*GOOD, "metric.ode_nll_nats.dequantisation=gauss"], ["model, uniform"]),
        (
            [*GOOD, "metric.ode_nll_nats.tolerence=1"],
            ["tolerence: there is no such option; did you mean metric.ode_nll_nats.tol"],
        ),
        ([*GOOD, "metric.ode_nl_nats.tolerance=1"], ["did you mean metric.ode_nll_nats.tolerance?"]),
        ([*GOOD, "metric.fid.k=1"], ["metric.fid.k: there is no such option"]),
        (
            [*GOOD, "metrics=[recall]", "metric.iw_nll_nats.draws=5"],
            ["iw_nll_nats.draws: that metric is not asked for", "[recall]"],
        ),
        ([*GOOD, "metric.recall=1"], ["metric.recall: there is no such option; did you mean metric.recall.k?"]),
        ([*GOOD, "metric.recal=1"], ["metric.recal: there is no such option"]),
        ([*GOOD, "budget.iw_samples=5"], ["budget.iw_samples: there is no such option"]),
        ([*GOOD, "evaluation.sample_seed=-1"], ["0 to 4294967295"]),
        ([*GOOD, "evaluation.split=train"], ["test, val"]),
        ([*GOOD, "features.space=vgg"], ["features.space=vgg", "auto, domain, efficientnet, inception, dinov2, clip"]),
        (["model=vae,gan", "data=digits"], ["model=gan"]),
        (["model=ddpm", "data=digits", "net=unte"], ["net=unte", "did you mean unet?", "transformer"]),
        (["model=ddpm", "data=digits", "net.hidden_channels=0"], ["net.hidden_channels=0", "at least 1"]),
        (["model=ddpm", "data=digits", "model.hidden_channels=8"], ["did you mean net.hidden_channels?"]),
        ([*GOOD, "net=unet"], ["net=unet: model=vae takes no network"]),
        (
            [*GOOD, "data.condition=lable"],
            ["data.condition=lable", "label, attributes, caption, characters, mel or null"],
        ),
        ([*GOOD, "+data.spec.condition=label"], ["data.spec.condition: say data.condition=label"]),
        ([*GOOD, "resume=nowhere"], ["resume=nowhere", "config.yaml"]),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else None,
)
def test_refused(overrides: list[str], words: list[str]) -> None:
    from genarena.cli import expand_resume

    with pytest.raises(UserError) as refused:
        config.check(expand_resume(overrides))
    text = str(refused.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    "override",
    [
        "model.latent_dim=4",
        "budget.minutes=2",
        "budget.minutes=0.5",
        "budget.examples=10",
        "budget.flops=1e12",
        "seed=0,1,2",
        "seed=range(3)",
        "model.training.optimizer.lr=1e-4",
        "model.training.optimizer.lr=1",
        "+model.training.optimizer.eps=1e-7",
        "trainer.timeout=60",
        "metrics=[]",
        "+metric.iw_nll_nats.draws=4",
        "+metric.recall.k=5",
        "+metric.fid.num_samples=50000",
        "evidence.samples.num_samples=50000",
        "evidence.importance_weighted.draws=4",
        "+evidence.samples.conditions=prompted",
        "metrics=[recall,bits_per_dim]",
        "runs_dir=/some/where",
        "trainer.precision=32-true",
        "logger=none",
        "data.root=/some/where",
        "debug=true",
    ],
)
def test_accepted(override: str) -> None:
    assert config.check([*GOOD, override]) == [*GOOD, override]


def test_an_option_that_the_yaml_leaves_out_gets_its_plus() -> None:
    assert config.check(["model=vae", "data=toy2d", "data.num_train=100"])[-1] == "data.num_train=100"
    inherited = ["model=vae", "data=binary_mnist", "data.max_train=100", "data.max_test=null"]
    assert config.check(inherited)[-2:] == ["+data.max_train=100", "+data.max_test=null"]
    given = ["model=dcgan", "data=digits", "trainer.benchmark=true", "model.training.optimizer.amsgrad=true"]
    assert config.check(given)[-2:] == ["+trainer.benchmark=true", "+model.training.optimizer.amsgrad=true"]


def test_options_are_inherited_from_classes_in_the_same_file_too() -> None:
    given = ["model=vae", "data=streaming", "data.path=x", "data.num_workers=0", "data.channels=1", "data.max_train=9"]
    assert config.check(given)[-3:] == ["+data.num_workers=0", "data.channels=1", "+data.max_train=9"]


def test_what_a_data_set_needs_is_asked_for_before_anything_is_imported() -> None:
    for given, missing in (
        ("data=image_folder", "data.root"),
        ("data=tabular", "data.num_dims"),
        ("data=tabular data.num_dims=2", "data.path"),
    ):
        with pytest.raises(UserError, match=f"{missing}=<value> is missing: data="):
            config.check(["model=vae", *given.split()])
    config.check(["model=vae", "data=image_folder", "data.root=a,b"])  # a sweep gives it


def test_command_line_exits_with_2_and_writes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "model=glw", "data=digits", f"runs_dir={tmp_path}/runs"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "glow" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_torch_is_not_imported_before_the_check() -> None:
    code = "import sys, genarena.cli, genarena.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


REFUSE = """
import runpy, sys
sys.modules["torch"] = None  # an import of it raises
for script in sys.argv[1:]:
    for arguments in (["nonsense=1"], ["nonsense=1", "debug=true"]):
        sys.argv = [script, *arguments]
        try:
            runpy.run_path(script, run_name="__main__")
        except SystemExit as error:
            assert error.code == 2, (script, error.code)
        else:
            raise AssertionError(script)
"""


def test_every_script_refuses_a_misspelt_option_before_it_imports_torch(tmp_path: Path) -> None:
    scripts = [str(path) for path in sorted((ROOT / "scripts").glob("*.py")) if path.stem != "bench"]
    assert len(scripts) >= 8
    done = subprocess.run(
        [sys.executable, "-c", REFUSE, *scripts, str(ROOT / "train.py")], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 2 * (len(scripts) + 1)
    assert sum("Traceback" in line for line in lines) == len(scripts) + 1  # debug=true shows it
    assert list(tmp_path.iterdir()) == []


def test_foreign_targets_are_refused() -> None:
    foreign = [
        "os.system",
        "torch.load",
        "builtins.eval",
        "genarena.cli.os.system",
        "torch.optim.sgd.torch.load",
        "genarena.training.module.partial",
        "torchmetrics.__class__",
        "genarena.files.atomic.replace_atomically",
        "genarena.cli.guard",
        "genarena.data.reading.decoding.Pictures",
        "genarena.data.base.Tensor",
        "genarena.models.base.ABC",
        "genarena.training.module.LightningModule",
        "genarena.training.schedule.math",
        "genarena.training.schedule.warmup_cosine.__class__",
        "torch.optim.Optimizer.__init__",
        "genarena.training.optimisers.torch",
        "genarena.training.optimisers.ClippedAdam.step",
        "torch.optim.lr_scheduler.LambdaLR",
        "torch.optim.SparseAdam.load",
        "pytorch_lightning.Callback",
        "pytorch_lightning.cli.LightningCLI",
        7,
    ]
    for target in foreign:
        with pytest.raises(Untrusted):
            build({"_target_": "genarena.spec.DataSpec", "shape": [{"_target_": target}]}, "data")


def test_the_innermost_cause_is_reported() -> None:
    with pytest.raises(UserError, match=r"data: shape=\(0,\): expected"):
        build({"_target_": "genarena.spec.DataSpec", "shape": [0]}, "data")


def test_partials_are_ordinary_ones() -> None:
    schedule = {"_target_": "genarena.training.schedule.warmup_cosine", "_partial_": True, "warmup": 0.5}
    training = build({"_target_": "genarena.training.module.Training", "schedule": schedule}, "model")
    assert type(training.schedule) is partial  # Hydra's own checks its target at every call, each learning-rate step
    assert training.schedule(0.5) == 1.0 and training.schedule(0.25) < 0.6


def test_interpolations_in_a_run_folder_are_not_resolved(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    OmegaConf.save({"model": {"a": "${oc.env:HOME}"}, "data": {}, "choices": {}}, path)
    with pytest.raises(Untrusted, match="interpolation"):
        stored_config.load(path)
    path.write_text("model: [")
    with pytest.raises(UserError, match="cannot be read"):
        stored_config.load(path)


def test_a_yaml_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugins.VARIABLE, str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("_target_: genarena.models.vae.vae.VAE\nlatent_dim: [8\nspec: 1\n")
    with pytest.raises(UserError, match=r"mine\.yaml, line 3: (did not find )?expected ',' or '\]'"):
        config.check(["model=mine", "data=digits"])


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ({"latent_dim": 8}, "model: its YAML has no _target_"),
        (
            {"_target_": "genarena.models.vae.vae.Vae"},
            "model: _target_ genarena.models.vae.vae.Vae: genarena.models.vae.vae has no Vae; did you mean VAE?",
        ),
        ({"_target_": "genarena.models.vea.vae.VAE"}, "model: No module named 'genarena.models.vea'"),
    ],
)
def test_a_target_that_is_missing_or_misspelt_is_named(node: dict, line: str) -> None:
    with pytest.raises(UserError) as refused:
        build(node, "model")
    assert str(refused.value).startswith(line)
