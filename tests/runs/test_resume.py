"""k + k batches, stopped in between and resumed, are 2k batches: bitwise, for every model, and with labels in each family."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from _pytest.mark import ParameterSet
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from genarena.build import build
from genarena.config import available, compose
from genarena.run import run
from genarena.training.callbacks.budget import Budget
from tests.capability_table import models, target
from tests.first_stages import TINY, finished_run, foundation, standing, stands
from tests.models.tiny import narrowed
from tests.run_folders import tensors, the_folder

MODELS = [name for name in available("model") if not name.endswith("_paper")]
BATCH, BATCHES = 16, 8
TARGETS = {name: target("model", name) for name in MODELS}
LABELS = ("data.condition=label",)
STATE_OF_LABELS = ("energy", "gan")  # families that keep a state of each label: chains, normalisations
LIKE_ANOTHER = {  # model -> one that keeps as much between two batches, or more; the model itself is tried in `make test-slow`
    **dict.fromkeys(("beta_tcvae", "dip_vae", "iwae"), "vae"),
    **dict.fromkeys(("maf", "nsf", "realnvp"), "glow"),
    **dict.fromkeys(("edm", "flow_matching"), "ddpm"),
    **dict.fromkeys(("latent_ar", "latent_gmm"), "latent_ddpm"),
    "pixelcnn": "made",
}


def of_each_family() -> dict[str, str]:
    """The first model of each family that can be conditional."""
    return {where.split(".")[2]: name for name, where in reversed(TARGETS.items()) if get_object(where).conditional}


def case(name: str, more: tuple[str, ...], often: bool) -> ParameterSet:
    """Not often: in `make test-slow` only."""
    return pytest.param(name, more, id="-".join([name, *more]), marks=[] if often else pytest.mark.slow)


PLAIN = [case(name, (), name in models() and name not in LIKE_ANOTHER) for name in MODELS]
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


def small(name: str, runs_dir: Path, first_stages: dict[str, Path], *more: str) -> DictConfig:
    """A run of eight batches, with narrow layers."""
    line = [
        *([f"model.first_stage={first_stages[foundation(name)]}"] if stands(name) else []),
        f"model={name}",
        "data=digits",
        "budget=smoke",
        f"budget.examples={BATCH * BATCHES}",
        "budget.num_val=8",
        f"model.training.batch_size={BATCH}",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        "metrics=[]",
        f"runs_dir={runs_dir}",
        "trainer.precision=32-true",
        "logger=none",
        *more,
    ]
    cfg = compose(line)
    cfg.model = narrowed(OmegaConf.to_container(cfg.model, resolve=True))
    return cfg


@pytest.mark.parametrize(("name", "more"), [*PLAIN, *LABELLED])
def test_resumed_run_equals_the_uninterrupted_one(
    name: str, more: tuple[str, ...], tmp_path: Path, first_stages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    if build(standing(compose([f"model={name}", "data=digits", *more])), "model").max_epochs == 0:
        pytest.skip("learns nothing")
    run(small(name, tmp_path / "whole", first_stages, *more))
    whole = torch.load(the_folder(tmp_path / "whole").last, weights_only=True)

    budget_step = Budget.on_train_batch_end

    def killed_after_six(self: Budget, *args: object) -> None:
        budget_step(self, *args)
        if self.examples_seen >= 6 * BATCH:
            raise InterruptedError("killed")

    monkeypatch.setattr(Budget, "on_train_batch_end", killed_after_six)
    with pytest.raises(InterruptedError):
        run(small(name, tmp_path / "parts", first_stages, *more))
    folder = the_folder(tmp_path / "parts")
    monkeypatch.undo()
    assert torch.load(folder.last, weights_only=True)["arena"]["batches_seen"] == BATCHES // 2
    monkeypatch.setenv("GENARENA_CACHE", str(tmp_path / "cache"))
    row = run(small(name, tmp_path / "parts", first_stages, *more, f"resume={folder.path}"))
    assert row["status"] == "ok"
    assert row["cost"]["examples_seen"] == BATCH * BATCHES

    parts = torch.load(folder.last, weights_only=True)
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        expected, found = tensors(whole.get(part, {})), tensors(parts.get(part, {}))
        assert expected.keys() == found.keys()
        different = [key for key, value in expected.items() if not torch.equal(value, found[key])]
        assert not different, part
