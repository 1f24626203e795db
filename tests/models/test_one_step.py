"""Every configuration, those of papers included, takes a step with its own optimiser, schedule, clipping and accumulation."""

from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch.utils.data import DataLoader, TensorDataset

from genarena.build import build
from genarena.config import available
from genarena.jobs.trial import some_conditions
from genarena.models.base import GenerativeModel
from tests.models.tiny import tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on workers and devices
BATCH = 8


def trained(model: GenerativeModel, num_batches: int, folder: Path) -> None:
    spec, num = model.spec, BATCH * num_batches
    shape = (num, *spec.shape)
    x = torch.randint(spec.num_levels, shape, dtype=spec.dtype) if spec.is_discrete else torch.randn(shape)
    given = [some_conditions(spec.condition, num)] if spec.condition else []  # mels or characters
    quiet = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "logger": False,
        "enable_checkpointing": False,
    }
    fitter = Trainer(max_epochs=1, accelerator="cpu", default_root_dir=folder, **quiet)
    fitter.fit(model, DataLoader(TensorDataset(x, *given), batch_size=BATCH))


@pytest.mark.parametrize("name", available("model"))
def test_one_step_of_each_player(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: GenerativeModel = build(tiny(name), "model")
    before = {key: value.clone() for key, value in model.named_parameters()}
    num_batches = model.settings.accumulate * max(player.every for player in model.players())
    trained(model, num_batches, tmp_path)
    assert (model.batches_seen, model.nonfinite_steps) == (num_batches, 0)
    assert all(torch.isfinite(value).all() for value in model.parameters())
    groups = [player.owned for player in model.players() if player.owned]
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    for parameters in groups:
        assert any(not torch.equal(parameter, before[names[id(parameter)]]) for parameter in parameters)
    assert len(model.learning_rates) == len(groups)
    step = (num_batches - 1) // model.settings.accumulate
    rise = min(1.0, (step + 1) / (model.settings.warmup_steps + 1))
    factor = model.settings.schedule((num_batches - 1) / num_batches) * rise
    rates = {
        id(parameter): group["initial_lr"]
        for optimizer in model.trainer.optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    expected = [rates[id(parameters[0])] * factor for parameters in groups]  # lazy penalties share an optimiser
    assert sorted(model.learning_rates.values()) == pytest.approx(sorted(expected))
