"""The autoregressive posterior: its density, its Jacobian, and the gap that it closes where a diagonal one cannot."""

import math

import pytest
import torch

from genarena.models.vae.diagonal_normal import Gaussian
from genarena.models.vae.inverse_autoregressive import FlowPosterior, InverseAutoregressiveFlow
from genarena.models.vae.vae_iaf import VAEIAF
from genarena.spec import DataSpec

BINARY = DataSpec((1, 8, 8), 2)
SIZES = {"channels": 4, "hidden": 8, "patch": 2}


def flow(num_dims: int = 5, num_steps: int = 3, size: float = 0.4) -> InverseAutoregressiveFlow:
    torch.manual_seed(0)
    made = InverseAutoregressiveFlow(num_dims, num_steps, [16, 12], context_features=4)
    for parameter in made.parameters():
        parameter.data.add_(size * torch.randn(parameter.shape))
    return made.double()


def posterior(num: int, num_dims: int = 5, size: float = 0.4) -> FlowPosterior:
    made = flow(num_dims, size=size)
    mean, log_var, h = (torch.randn(num, size, dtype=torch.float64) for size in (num_dims, num_dims, 4))
    return FlowPosterior(Gaussian(mean, log_var), h, made)


@torch.no_grad()
def test_the_density_of_a_draw_is_that_of_the_inverse_pass() -> None:
    q = posterior(64)
    z, log_q = q.draw()
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-8, atol=1e-8)
    naive = z
    for network in reversed(q.flow.networks):  # each dimension by a whole pass, not by the incremental one
        after, found = naive.flip(1), torch.zeros_like(naive)
        for d in range(5):
            m, gate = network(found, q.h).unbind(1)
            s = torch.sigmoid(gate + 2.0)
            found[:, d] = ((after - (1.0 - s) * m) / s)[:, d]
        naive = found
    torch.testing.assert_close(q.flow.inverse(z, q.h), naive, rtol=1e-8, atol=1e-8)


@torch.no_grad()
def test_draws_made_at_once_are_those_of_one_after_the_other() -> None:
    q = posterior(4)
    torch.manual_seed(1)
    one_by_one = [q.draws(1) for _ in range(3)]
    torch.manual_seed(1)
    z, log_q = q.draws(3)
    for found, single in zip((z, log_q), zip(*one_by_one, strict=True), strict=True):
        torch.testing.assert_close(found, torch.cat(single))
    torch.testing.assert_close(log_q, torch.stack([q.log_prob(each) for each in z]))


def test_the_log_determinant_is_that_of_autograd() -> None:
    made, z, h = flow(), torch.randn(3, 5).double(), torch.randn(3, 4).double()
    _, log_det = made(z, h)
    for row in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda x, row=row: made(x[None], h[row : row + 1])[0][0], z[row])
        assert jacobian.slogdet()[1].item() == pytest.approx(log_det[row].item(), abs=1e-9)
    assert jacobian.count_nonzero() == 25  # with three steps each dimension depends on each


@torch.no_grad()
def test_the_density_integrates_to_one() -> None:
    q = posterior(1, 2, size=0.15)
    centre, wide = q.centre(), 6.0 * torch.stack([q.draw()[0][0] for _ in range(200)]).std(0)
    grid = torch.cartesian_prod(*(torch.linspace(-1.0, 1.0, 301).double()[:, None] * wide + centre).T)
    whole = FlowPosterior(Gaussian(q.start.mean, q.start.log_var), q.h.expand(len(grid), -1), q.flow)
    cell = (wide / 150).prod()
    assert (whole.log_prob(grid).exp().sum() * cell).item() == pytest.approx(1.0, abs=2e-3)


def test_it_closes_the_gap_that_a_diagonal_posterior_cannot() -> None:
    """The posterior N(0, [[1, r], [r, 1]]): the best diagonal q misses -1/2 log(1 - r^2) nats, one step of the flow < .01."""
    r = 0.9
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, r], [r, 1.0]]))
    torch.manual_seed(0)
    made = InverseAutoregressiveFlow(2, 1, [4], context_features=1)
    with (
        torch.no_grad()
    ):  # s_1 = .5, m_1 = 0; s_2 = 1 - eps of a mean that the first dimension gives: relu(z) - relu(-z)
        network = made.networks[0]
        for parameter in network.parameters():
            parameter.zero_()
        s = torch.sigmoid(torch.tensor(2.0)).item()
        network.layers[0].weight[:2, 0] = torch.tensor([1.0, -1.0])
        network.layers[1].weight[1, :2] = torch.tensor([1.0, -1.0]) * r / (1.0 - s)  # m_2 = r z_1 / (1 - s)
    variances = torch.tensor([[1.0, (1.0 - r**2) / s**2]])
    # z_1 keeps its scale s: start with 1 / s of it, and undo that in m_2
    start = Gaussian(torch.zeros(1, 2), (variances * torch.tensor([[1.0 / s**2, 1.0]])).log())
    with torch.no_grad():
        network.layers[1].weight[1, :2] *= s
    num = 40_000
    wide = FlowPosterior(Gaussian(start.mean.expand(num, 2), start.log_var.expand(num, 2)), torch.zeros(num, 1), made)
    z, log_q = wide.draw()
    assert (log_q - truth.log_prob(z)).abs().max().item() < 1e-3 < 0.01
    diagonal = Gaussian(torch.zeros(num, 2), torch.full((num, 2), math.log(1.0 - r**2)))  # the best one
    draws = diagonal.sample()
    missed = diagonal.log_prob(draws).sum(1) - truth.log_prob(draws)
    assert missed.mean().item() == pytest.approx(-0.5 * math.log(1.0 - r**2), abs=4.0 * missed.std().item() / num**0.5)


def test_learning_finds_that_posterior() -> None:
    """By gradient alone, from the start of every training: less than .01 nats are left."""
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor([[1.0, 0.9], [0.9, 1.0]]))
    torch.manual_seed(0)
    made = InverseAutoregressiveFlow(2, 2, [16], context_features=1)
    start = torch.zeros(1, 4, requires_grad=True)
    optimiser = torch.optim.Adam([*made.parameters(), start], lr=2e-2)

    def gap(num: int) -> torch.Tensor:
        mean, log_var = start.expand(num, -1).chunk(2, 1)
        z, log_q = FlowPosterior(Gaussian(mean, log_var), torch.zeros(num, 1), made).draw()
        return log_q - truth.log_prob(z)

    for step in range(200):
        optimiser.param_groups[0]["lr"] = 3e-2 * (1.0 - step / 200)
        optimiser.zero_grad()
        gap(128).mean().backward()
        optimiser.step()
    with torch.no_grad():
        left = gap(10_000)
    assert left.mean().item() < 0.01


@torch.no_grad()
def test_the_bound_reads_the_flow_and_the_code_is_its_centre() -> None:
    torch.manual_seed(0)
    model = VAEIAF(BINARY, latent_dim=4, num_steps=2, flow_hidden=[8], context_dim=3, **SIZES).eval()
    for parameter in model.flow.parameters():
        parameter.add_(0.5 * torch.randn(parameter.shape))
    x = torch.randint(0, 2, (3, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(1)
    found = model.log_prob(x)
    torch.manual_seed(1)
    z, _ = model.posterior(x).draw()
    log_q = model.posterior(x).log_prob(z)
    by_hand = model.head(model.decoder(z, None)).log_prob(x).flatten(1).sum(1)
    by_hand = by_hand + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1) - log_q
    torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-3)
    assert torch.equal(model.encode(x), model.flow(model.posterior(x).start.mean, model.posterior(x).h)[0])


@pytest.mark.parametrize(
    ("options", "line"), [({"latent_dim": 1}, "latent_dim=1"), ({"flow_hidden": []}, r"flow_hidden=\[\]")]
)
def test_refuses_what_has_no_order(options: dict, line: str) -> None:
    with pytest.raises(ValueError, match=line):
        VAEIAF(BINARY, **options)
