"""The mixture of posteriors as a prior: its KL over all of a data set, the special case of one component, and its start."""

import math

import pytest
import torch
from torch import nn

from genarena.models.sampler import Temperature
from genarena.models.vae.vae import VAE
from genarena.models.vae.vamp_vae import VampVAE
from genarena.spec import Batch, DataSpec

BINARY = DataSpec((1, 8, 8), 2)
SIZES = {"channels": 4, "hidden": 8, "patch": 2}


class Spread(nn.Module):
    """x (N, 1) to q(z|x) = N(x, exp(log_var))."""

    def __init__(self, log_var: float) -> None:
        super().__init__()
        self.log_var = log_var

    def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
        return torch.cat([x, torch.full_like(x, self.log_var)], 1)


@torch.no_grad()
@pytest.mark.parametrize("log_var", [-6.0, 0.0, 3.0])  # far apart: log N; one blob: nearly 0
def test_with_all_data_as_pseudo_inputs_the_mean_kl_is_the_information_about_which_one(log_var: float) -> None:
    """KL(q(z|x_n) || 1/N sum_m q(z|x_m)), averaged over n, = log N - E H(n|z) <= log N; the entropy by quadrature."""
    torch.manual_seed(0)
    x = torch.tensor([-3.0, -1.0, 0.5, 4.0])[:, None]
    model = VampVAE(DataSpec((1,)), num_pseudo_inputs=4, latent_dim=1, hidden=4)
    model.encoder, model.pseudo_inputs.data = Spread(log_var), x.clone()
    z = torch.linspace(-40.0, 40.0, 80_001, dtype=torch.float64)
    each = torch.distributions.Normal(x.double(), math.exp(0.5 * log_var)).log_prob(z)  # (4, M)
    given = each.softmax(0)
    entropy = (torch.special.entr(given).sum(0) * each.exp().mean(0)).sum().item() * 80.0 / 80_000
    codes, log_q = model.posterior(x.repeat(20_000, 1)).draw()
    kl = log_q - model.log_prior(codes)
    assert kl.mean().item() == pytest.approx(math.log(4.0) - entropy, abs=4.0 * kl.std().item() / 80_000**0.5 + 1e-4)
    assert kl.mean().item() <= math.log(4.0) + 1e-4 and kl.max().item() <= math.log(4.0) + 1e-4  # for each draw too


@torch.no_grad()
def test_one_component_at_the_standard_normal_is_the_vae() -> None:
    torch.manual_seed(0)
    vae, model = VAE(BINARY, latent_dim=3, **SIZES), VampVAE(BINARY, num_pseudo_inputs=1, latent_dim=3, **SIZES)
    model.load_state_dict(vae.state_dict() | {"pseudo_inputs": model.pseudo_inputs, "started": model.started})
    model.components = lambda: vae.prior(None, 1)
    x = torch.randint(0, 2, (5, 1, 8, 8), dtype=torch.uint8)
    found = []
    for each in (vae, model):
        torch.manual_seed(1)
        weights, reconstruction = each.log_weights(x, num_samples=200), each.loss(Batch(x))["reconstruction"]
        found.append((weights, reconstruction, each.encode(x)))
    torch.testing.assert_close(found[0], found[1])
    torch.manual_seed(2)
    draws = torch.stack([model.log_prob(x) - vae.log_prob(x) for _ in range(300)])
    assert (draws.mean(0).abs() < 4.0 * draws.std(0) / 300**0.5).all()


@torch.no_grad()
def test_samples_come_from_the_components() -> None:
    model = VampVAE(DataSpec((1,)), num_pseudo_inputs=2, latent_dim=1, hidden=4)
    model.encoder, model.pseudo_inputs.data = Spread(-8.0), torch.tensor([[-2.0], [3.0]])
    torch.manual_seed(0)
    z = model.code(4000)
    assert ((z > 0).float().mean() - 0.5).abs() < 0.04
    assert z[z > 0].mean().item() == pytest.approx(3.0, abs=0.01)
    assert z[z > 0].std().item() == pytest.approx(math.exp(-4.0), rel=0.1)
    model.use(Temperature(0.0))
    assert set(model.code(50).flatten().tolist()) == {-2.0, 3.0}


@torch.no_grad()
def test_pseudo_inputs_start_at_examples_and_stay_in_their_range() -> None:
    model = VampVAE(BINARY, num_pseudo_inputs=5, latent_dim=2, **SIZES)
    before = model.pseudo_inputs.detach().clone()
    batches = [torch.randint(0, 2, (3, 1, 8, 8), dtype=torch.uint8) for _ in range(3)]
    model.observe(Batch(batches[0]))
    assert torch.equal(model.pseudo_inputs[:3], 2.0 * batches[0] - 1.0) and torch.equal(
        model.pseudo_inputs[3:], before[3:]
    )
    for x in batches[1:]:
        model.observe(Batch(x))
    assert torch.equal(model.pseudo_inputs, 2.0 * torch.cat(batches[:2])[:5] - 1.0) and model.started == 5
    inside = model.components().mean
    model.pseudo_inputs.data *= 3.0
    assert torch.equal(model.components().mean, inside)


def test_the_gates_are_those_of_the_paper() -> None:
    """Two layers of 300 each way: (W h + b) sigmoid(V h + c)."""
    model = VampVAE(DataSpec((1, 28, 28), 2), latent_dim=40, perceptron=[300, 300], gated=True)
    layers = [layer for layer in model.encoder.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(784, 600), (300, 600), (300, 80)]
    h = torch.randn(2, 784)
    a, b = layers[0](h).chunk(2, 1)
    torch.testing.assert_close(model.encoder.layers[:2](h), a * torch.sigmoid(b))
    with pytest.raises(ValueError, match="gated=true"):
        VampVAE(BINARY, gated=True)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_the_gradient_is_on_average_that_of_the_bound(covariance: str) -> None:
    torch.manual_seed(0)
    model = VampVAE(BINARY, num_pseudo_inputs=3, covariance=covariance, latent_dim=2, **SIZES)
    model.progress = 1.0
    batch = Batch(torch.randint(0, 2, (1, 1, 8, 8), dtype=torch.uint8).expand(512, -1, -1, -1))
    last = model.encoder[-1].bias
    found = [
        torch.stack([torch.autograd.grad(loss(), last)[0] for _ in range(200)])
        for loss in (lambda: model.loss(batch)["loss"], lambda: -model.elbo(batch).mean())
    ]
    means, errors = zip(*((each.mean(0), each.std(0) / len(each) ** 0.5) for each in found), strict=True)
    assert ((means[0] - means[1]).abs() < 4.0 * (errors[0] ** 2 + errors[1] ** 2).sqrt()).all()
    assert (means[1].abs() > 20.0 * errors[1]).any()  # so that it is no comparison of noise
