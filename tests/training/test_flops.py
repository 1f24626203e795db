"""Budgets in FLOPs, counted in the first batch, which leaves no trace. Counts by hand are in `tests.evaluation.test_cost`."""

from pathlib import Path

import pytest
import torch

from genarena.build import build
from genarena.errors import UserError
from genarena.training import flops
from genarena.training.callbacks.budget import Budget
from tests.evaluation.test_cost import Network
from tests.models.test_contract import images
from tests.models.tiny import tiny
from tests.training.callbacks.toy import Mean, fit

PER_EXAMPLE = 60  # of `Network`, by hand
STATEFUL = ("glow", "ebm", "vqvae", "sngan", "wgan_gp", "gmm", "ddpm", "memoriser", "gaussian", "realnvp", "dcgan")


def test_training_ends_when_the_operations_are_used_up(tmp_path: Path) -> None:
    """Batches of 8: the budget of 4.5 batches is used up by the fifth."""
    model, budget = Network(), Budget(None, None, flops=4.5 * 8 * PER_EXAMPLE)
    fit(model, [budget], tmp_path)
    assert (model.batches_seen, budget.examples_seen, model.progress) == (5, 40, 1.0)
    assert budget.flops_per_example == PER_EXAMPLE


def test_the_first_limit_ends_it(tmp_path: Path) -> None:
    for limits, batches in (((16, 1e9), 2), ((10**6, 3 * 8 * PER_EXAMPLE), 3)):
        model = Network()
        fit(model, [Budget(None, limits[0], flops=limits[1])], tmp_path)
        assert model.batches_seen == batches


def test_a_resumed_run_does_not_count_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Budget(None, None, flops=4 * 8 * PER_EXAMPLE)
    fit(Network(), [first], tmp_path)
    monkeypatch.setattr(flops, "per_example", None)
    second = Budget(None, None, flops=6 * 8 * PER_EXAMPLE)
    second.load_state_dict(first.state_dict())
    model = Network()
    fit(model, [second], tmp_path)
    assert model.batches_seen == 2


def test_a_model_whose_training_has_none_needs_another_limit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^budget\.flops=1e\+09: the training of Mean has no FLOPs that are counted"):
        fit(Mean(), [Budget(None, None, flops=1e9)], tmp_path)
    model = Mean()
    fit(model, [Budget(None, 24, flops=1e9)], tmp_path)
    assert model.batches_seen == 3


@pytest.mark.parametrize("name", STATEFUL)
def test_counting_leaves_no_trace(name: str) -> None:
    torch.manual_seed(0)
    cfg = tiny(name)
    model = build(cfg.get("model", cfg), "model")
    model.configure_optimizers()
    batch = flops.Batch(images(model, 8))
    before, state = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    assert flops.per_example(model, batch) >= 0.0
    assert torch.equal(state, torch.get_rng_state()) and model.training
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == []
    assert all(parameter.grad is None for parameter in model.parameters())
