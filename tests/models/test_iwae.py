"""The importance-weighted autoencoder on a linear-Gaussian model: its bound and the two gradients of the encoder."""

import pytest
import torch
from torch import Tensor, nn

from genarena.likelihood import log_mean_exp
from genarena.models.vae.diagonal_normal import noise_of_draws
from genarena.models.vae.iwae import IWAE
from genarena.spec import Batch, DataSpec
from tests.analytic import LinearGaussian

GRADIENTS = ("plain", "doubly_reparameterised")


def inexact(gradient: str, num_importance: int) -> tuple[IWAE, LinearGaussian]:
    """q is shifted and twice as wide as the posterior. Encoder and decoder have parameters: their biases and log-variances."""
    torch.manual_seed(0)
    world = LinearGaussian()
    model = IWAE(DataSpec((4,)), num_importance=num_importance, gradient=gradient, latent_dim=2, hidden=4)
    model.decoder, model.encoder = world.decoder(), world.encoder()
    model.encoder.bias = nn.Parameter(model.encoder.bias + 0.3)
    model.encoder.log_var = nn.Parameter(model.encoder.log_var + 1.4)
    model.decoder.bias = nn.Parameter(model.decoder.bias + 0.2)
    world.bias = model.decoder.bias.detach()
    return model, world


X = torch.tensor([[1.0, -0.5, 2.0, 0.3]])


def draws(gradient: str, k: int, repeats: int = 20_000) -> dict[str, Tensor]:
    """Gradients of the loss of one example, one row per independent repetition: the repetitions are the batch, and every
    row has its own copy of the encoder's outputs. The decoder's gradient is only known as a mean."""
    model, _ = inexact(gradient, k)
    outputs = model.encoder(X).detach().repeat(repeats, 1).requires_grad_()
    model.encoder.forward = lambda x, context: outputs
    torch.manual_seed(1)
    loss = model.loss(Batch(X.expand(repeats, -1)))["loss"]
    encoder, decoder = torch.autograd.grad(loss, (outputs, model.decoder.bias))
    return {"encoder": encoder * repeats, "decoder": decoder}


@torch.no_grad()
def test_bound_rises_with_k_and_stays_below_the_exact_likelihood() -> None:
    bounds, errors = [], []
    for k in (1, 2, 5, 20, 100):
        model, world = inexact("plain", k)
        torch.manual_seed(2)
        values = log_mean_exp(model.importance(Batch(X.expand(20_000, -1))))
        assert -model.loss(Batch(X.expand(20_000, -1)))["loss"].item() == pytest.approx(values.mean().item(), abs=0.05)
        bounds.append(values.mean().item())
        errors.append(values.std().item() / 20_000**0.5)
    exact = world.log_prob(X).item()
    for index in range(4):
        assert bounds[index] + 3.0 * (errors[index] + errors[index + 1]) < bounds[index + 1]
    assert bounds[-1] < exact and exact - bounds[-1] < 0.02 < exact - bounds[0]


@torch.no_grad()
def test_at_the_true_posterior_every_k_is_exact() -> None:
    torch.manual_seed(0)
    world = LinearGaussian()
    for gradient in GRADIENTS:
        model = IWAE(DataSpec((4,)), num_importance=3, gradient=gradient, latent_dim=2, hidden=4)
        model.decoder, model.encoder = world.decoder(), world.encoder()
        x = torch.randn(6, 4)
        assert -model.loss(Batch(x))["loss"].item() == pytest.approx(world.log_prob(x).mean().item(), abs=1e-5)


@pytest.mark.parametrize("k", [1, 2, 8])
def test_both_gradients_have_the_same_mean(k: int) -> None:
    found = {gradient: draws(gradient, k) for gradient in GRADIENTS}
    plain, doubly = (found[gradient]["encoder"] for gradient in GRADIENTS)
    error = ((plain.var(0) + doubly.var(0)) / len(plain)).sqrt()
    assert (plain.mean(0).abs() > 10.0 * error).any()  # there is something to agree on
    assert ((plain.mean(0) - doubly.mean(0)).abs() < 3.0 * error).all()
    torch.testing.assert_close(found["plain"]["decoder"], found["doubly_reparameterised"]["decoder"])  # equal noise


def test_the_plain_gradient_is_that_of_the_bound_itself() -> None:
    """Against central differences in the encoder's outputs, with the same noise."""
    model, _ = inexact("plain", 4)
    outputs = model.encoder(X).detach()
    values = []
    for step in (1e-2, -1e-2):
        shifted = outputs.clone()
        shifted[0, 2] += step
        model.encoder.forward = lambda x, context, shifted=shifted: shifted
        torch.manual_seed(5)
        values.append(model.loss(Batch(X))["loss"])
    parameter = outputs.clone().requires_grad_()
    model.encoder.forward = lambda x, context: parameter
    torch.manual_seed(5)
    (gradient,) = torch.autograd.grad(model.loss(Batch(X))["loss"], parameter)
    assert gradient[0, 2].item() == pytest.approx(((values[0] - values[1]) / 2e-2).item(), rel=1e-2)


def test_signal_to_noise_falls_with_k_for_the_plain_gradient_only() -> None:
    """Of the gradient in the mean of q: 1 / sqrt(k) against sqrt(k) (Rainforth et al. 2018, Tucker et al. 2019)."""
    ratio = {}
    for gradient in GRADIENTS:
        for k in (4, 64):
            rows = draws(gradient, k, 8_000)["encoder"][:, :2]
            ratio[gradient, k] = (rows.mean(0).norm() / rows.var(0).sum().sqrt()).item()
    assert ratio["plain", 64] < 0.6 * ratio["plain", 4]
    assert ratio["doubly_reparameterised", 64] > 0.9 * ratio["doubly_reparameterised", 4]


def test_by_hand() -> None:
    """k = 2, one dimension: sum_i v_i^2 (d log w_i / dz_i), with log q not seeing the parameters of q."""
    model = IWAE(DataSpec((1,)), num_importance=2, latent_dim=1, hidden=4)
    outputs = torch.tensor([[0.5, 0.2]], requires_grad=True)  # mean, log-variance of q
    model.encoder.forward = lambda x, context: outputs
    model.decoder.forward = lambda z, context: torch.cat([2.0 * z, torch.zeros_like(z)], 1)
    torch.manual_seed(0)
    (gradient,) = torch.autograd.grad(model.loss(Batch(torch.tensor([[1.0]])))["loss"], outputs)
    torch.manual_seed(0)
    eps = noise_of_draws(2, 1, outputs.device).flatten()
    spread = torch.tensor(0.1).exp()
    z = 0.5 + spread * eps
    log_w = -0.5 * (1.0 - 2.0 * z) ** 2 - 0.5 * z**2 + 0.5 * eps**2
    weights = torch.softmax(log_w, 0)
    slope = 2.0 * (1.0 - 2.0 * z) - z + eps / spread
    expected = -torch.stack([(weights**2 * slope).sum(), (weights**2 * slope * 0.5 * spread * eps).sum()])
    torch.testing.assert_close(gradient.flatten(), expected, atol=1e-5, rtol=1e-4)


def test_refuses_what_it_cannot_model() -> None:
    with pytest.raises(ValueError, match="images or continuous vectors"):
        IWAE(DataSpec((4,), 17))
