"""A run of eight batches that is stopped in between, for tests of what a resumed run is."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from genarena.config import compose
from genarena.training.callbacks.budget import Budget
from tests.models.tiny import narrowed
from tests.run_folders import tensors

BATCH, BATCHES = 16, 8


def small(model: str, data: str, runs_dir: Path, *more: str) -> DictConfig:
    """A run of eight batches, with narrow layers and no metric."""
    line = [
        f"model={model}",
        f"data={data}",
        "budget=smoke",
        f"budget.examples={BATCH * BATCHES}",
        "budget.num_val=8",
        f"model.training.batch_size={BATCH}",
        "callbacks.grid_size=1",
        "callbacks.progress=false",
        f"runs_dir={runs_dir}",
        "trainer.precision=32-true",
        "logger=none",
        *more,
    ]
    cfg = compose([*line, *([] if any(each.startswith("metrics=") for each in more) else ["metrics=[]"])])
    cfg.model = narrowed(OmegaConf.to_container(cfg.model, resolve=True))
    return cfg


def kill_after_six(patch: pytest.MonkeyPatch) -> None:
    """Training ends with InterruptedError after six batches; the newest checkpoint is older."""
    budget_step = Budget.on_train_batch_end

    def step(self: Budget, *args: object) -> None:
        budget_step(self, *args)
        if self.examples_seen >= 6 * BATCH:
            raise InterruptedError("killed")

    patch.setattr(Budget, "on_train_batch_end", step)


def require_same(whole: dict[str, Any], parts: dict[str, Any]) -> None:
    """Two checkpoints have the same weights, averages and states of the optimisers, bitwise."""
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states"):
        expected, found = tensors(whole.get(part, {})), tensors(parts.get(part, {}))
        assert expected.keys() == found.keys()
        different = [key for key, value in expected.items() if not torch.equal(value, found[key])]
        assert not different, part
