"""The capacity of `vae_annealed`: no penalty where the KL is C, and how C grows."""

import pytest
import torch

from genarena.models.vae.vae_annealed import VAEAnnealed
from genarena.spec import Batch
from tests.models.disentangling import given

DATA = Batch(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))  # with variances of one the KLs are 0.5 and 4.5: mean 2.5


@pytest.mark.parametrize(("progress", "capacity", "penalty"), [(1.0, 2.5, 0.0), (0.2, 5.0, 0.0), (0.0, 5.0, 25.0)])
def test_the_penalty_is_zero_where_the_kl_is_the_capacity(progress: float, capacity: float, penalty: float) -> None:
    """C grows linearly over the first 0.4 of the training: at 0.2 it is half of 5, at 0 it is 0."""
    model = given(VAEAnnealed, gamma=10.0, capacity=capacity, warmup=0.4)
    model.progress = progress
    terms = model.loss(DATA)
    assert terms["kl"].item() == pytest.approx(2.5)
    assert terms["penalty"].item() == pytest.approx(penalty, abs=1e-5)
    assert (terms["loss"] - terms["reconstruction"]).item() == pytest.approx(penalty, abs=1e-5)


@pytest.mark.parametrize(("capacity", "sign"), [(9.0, -1.0), (1.0, 1.0)])
def test_the_gradient_pulls_the_kl_to_the_capacity_from_both_sides(capacity: float, sign: float) -> None:
    model = given(VAEAnnealed, gamma=10.0, capacity=capacity, warmup=0.0)
    x = DATA.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.loss(Batch(x))["penalty"], x)
    torch.testing.assert_close(slope, sign * 10.0 * DATA.x / 2.0)  # d KL / d mean = mean / N


@torch.no_grad()
def test_validation_has_the_last_capacity_and_its_loss_chooses() -> None:
    model = given(VAEAnnealed, gamma=10.0, capacity=2.5, warmup=0.5)
    model.progress = 0.1
    with model.final_objective():
        terms = model.validate(DATA)
    assert terms["penalty"].item() == pytest.approx(0.0, abs=1e-5)
    assert terms["objective"] == terms["loss"] and "bits_per_dim" in terms
    assert model.ramp == 0.5
