"""k + k batches, stopped in between and resumed, are 2k batches: bitwise, for every model, and with labels in each family."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet

from genarena.build import build
from genarena.config import available, compose
from genarena.run import run
from tests.capability_table import models
from tests.first_stages import TINY, finished_run, foundation, standing, stands
from tests.homes import class_of, home
from tests.run_folders import the_folder
from tests.small_run import BATCH, BATCHES, kill_after_six, require_same, small

MODELS = [name for name in available("model") if not name.endswith("_paper")]
LABELS = ("data.condition=label",)
STATE_OF_LABELS = ("energy", "gan")  # families that keep a state of each label: chains, normalisations
LIKE_ANOTHER = {  # model -> one that keeps as much between two batches, or more; the model itself is tried in `make test-slow`
    **dict.fromkeys(("beta_tcvae", "dip_vae", "iwae", "lvae", "vae_iaf", "vdvae"), "vae"),
    **dict.fromkeys(("ffjord", "maf", "manifold_flow", "nsf", "realnvp", "residual_flow", "tarflow"), "glow"),
    **dict.fromkeys(("waveflow", "waveglow", "wavenet"), "glow"),
    **dict.fromkeys(("consistency", "edm", "flow_matching", "meanflow", "score_sde", "shortcut", "vdm"), "ddpm"),
    **dict.fromkeys(("latent_ar", "latent_gmm"), "latent_ddpm"),
    **dict.fromkeys(("image_gpt", "pixelcnn", "pixelcnn_pp"), "made"),
    **dict.fromkeys(("jem", "recovery_ebm"), "ebm"),
    **dict.fromkeys(("hifigan", "r3gan", "wgan_gp"), "sngan"),
    "d3pm": "masked_diffusion",
    "kde": "memoriser",
}


def of_each_family() -> dict[str, str]:
    """The first model of each family that can be conditional on labels."""
    classes = {name: class_of(name) for name in reversed(MODELS)}
    found = {name: each for name, each in classes.items() if each.conditional and "label" in each.condition_kinds}
    return {each.family: name for name, each in found.items()}


def case(name: str, more: tuple[str, ...], often: bool) -> ParameterSet:
    """Not often: in `make test-slow` only."""
    return pytest.param(name, more, id="-".join([name, *more]), marks=[] if often else pytest.mark.slow)


PLAIN = [case(name, (), name in models() and name not in LIKE_ANOTHER) for name in MODELS]
MELS = [case("waveglow", ("data.condition=mel",), often=False)]  # whitened by its mel
LABELLED = [case(name, LABELS, family in STATE_OF_LABELS) for family, name in sorted(of_each_family().items())]


@pytest.fixture(scope="module")
def first_stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: finished_run(tmp_path_factory.mktemp("first"), name) for name in TINY}


@pytest.fixture(autouse=True)
def only_training() -> Iterator[None]:
    """Pictures and costs of a finished run take longer than its eight batches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.run.save_final", lambda *_: None)
        patch.setattr("genarena.run.cost.measure", lambda *_: {})
        yield


def line(name: str, first_stages: dict[str, Path], *more: str) -> tuple[str, ...]:
    """Further options of a run, with the first stage of a model that stands on one."""
    return (*([f"model.first_stage={first_stages[foundation(name)]}"] if stands(name) else []), *more)


@pytest.mark.parametrize(("name", "more"), [*PLAIN, *LABELLED, *MELS])
def test_resumed_run_equals_the_uninterrupted_one(
    name: str, more: tuple[str, ...], tmp_path: Path, first_stages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, *own = home(name)
    if build(standing(compose([f"model={name}", data, *own, *more])), "model").max_epochs == 0:
        pytest.skip("learns nothing")
    data, more = data.removeprefix("data="), line(name, first_stages, *own, *more)
    run(small(name, data, tmp_path / "whole", *more))
    whole = torch.load(the_folder(tmp_path / "whole").last, weights_only=True)

    kill_after_six(monkeypatch)
    with pytest.raises(InterruptedError):
        run(small(name, data, tmp_path / "parts", *more))
    folder = the_folder(tmp_path / "parts")
    monkeypatch.undo()
    assert torch.load(folder.last, weights_only=True)["arena"]["batches_seen"] == BATCHES // 2
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    row = run(small(name, data, tmp_path / "parts", *more, f"resume={folder.path}"))
    assert row["status"] == "ok"
    assert row["cost"]["examples_seen"] == BATCH * BATCHES
    require_same(whole, torch.load(folder.last, weights_only=True))
