"""The weights of `beta_tcvae` on the three parts of the KL, by hand, and where it is `vae`."""

from types import SimpleNamespace

import pytest
import torch

from genarena.data.batches import Split
from genarena.models.vae.beta_tcvae import BetaTCVAE
from genarena.spec import Batch
from tests.models.disentangling import given, same_as_vae


@pytest.mark.parametrize("sampling", ["weighted", "stratified"])
def test_weights_of_one_are_vae_bitwise(sampling: str) -> None:
    assert same_as_vae(BetaTCVAE, beta=1.0, sampling=sampling)
    assert not same_as_vae(BetaTCVAE, beta=2.0, sampling=sampling)


@torch.no_grad()
@pytest.mark.parametrize("weights", [(1.0, 6.0, 1.0), (0.0, 2.0, 3.0)])
def test_the_loss_adds_what_the_weights_add(weights: tuple[float, float, float]) -> None:
    model = given(BetaTCVAE, -1.0, **dict(zip(("alpha", "beta", "gamma"), weights, strict=True)), warmup=0.0)
    torch.manual_seed(0)
    terms = model.loss(Batch(torch.randn(50, 2)))
    parts = [terms[name] for name in ("mutual_information", "total_correlation", "dimension_wise_kl")]
    more = sum((weight - 1.0) * part for weight, part in zip(weights, parts, strict=True))
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"] + more)
    assert parts[0] > 0.5 and not model.bound_is_loss


def test_it_knows_the_number_of_training_examples() -> None:
    """1 / N: a thousand times as much data makes log q(z) and its two marginals smaller by log 1000 each."""
    model, found = given(BetaTCVAE, -1.0), []
    for size in (100, 100_000):
        model.training_data(SimpleNamespace(training_split=Split(torch.zeros(size, 2))), torch.device("cpu"))
        torch.manual_seed(0)
        found.append(model.loss(Batch(torch.randn(50, 2)))["total_correlation"])
    torch.testing.assert_close(found[1] - found[0], torch.tensor(1000.0).log(), rtol=1e-4, atol=1e-4)
