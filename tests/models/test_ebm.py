"""The energy-based model against what is known of it."""

import math

import pytest
import torch
from torch import Tensor, nn

from genarena.config import compose
from genarena.models.energy.annealed_importance_sampling import Partition
from genarena.models.energy.ebm import EBM
from genarena.models.energy.langevin import Langevin
from genarena.models.energy.replay_buffer import ReplayBuffer
from genarena.models.energy.sampler_kl import sampler_kl
from genarena.spec import Batch, DataSpec

DIGITS = DataSpec((1, 8, 8), 17)


class Linear(nn.Module):
    """An energy that is linear in its features (v, v^2): its contrastive-divergence gradient can be written down."""

    def __init__(self, num_dims: int) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(0.1 * torch.randn(num_dims)), nn.Parameter(torch.zeros(num_dims))

    def forward(self, v: Tensor, context: None = None) -> Tensor:
        return (v.flatten(1) * self.first + v.flatten(1).square() * self.second).sum(1)


def exact_log_z(model: EBM) -> float:
    """log of the integral of exp(-U) over a line or a plane, by quadrature."""
    line = torch.linspace(-6.0, 6.0, 241)
    points = torch.cartesian_prod(*[line] * model.spec.num_dims).view(-1, *model.spec.shape)
    with torch.no_grad():
        return (torch.logsumexp(-model.energy(points).double(), 0) + model.spec.num_dims * math.log(0.05)).item()


def test_loss_gradient_is_contrastive_divergence() -> None:
    torch.manual_seed(0)
    model = EBM(DataSpec((2,)), energy_penalty=0.0, data_noise=0.0, temperature=0.5, buffer_size=64, max_gap=1e9)
    model.net = Linear(2)
    model.eval()
    x, chains = torch.randn(32, 2) + 1.0, {}
    model.advance_chains = lambda num, _: (chains.setdefault("v", torch.randn(num, 2)), None)
    model.loss(Batch(x))["loss"].backward()
    torch.testing.assert_close(model.net.first.grad, x.mean(0) - chains["v"].mean(0))
    torch.testing.assert_close(model.net.second.grad, x.square().mean(0) - chains["v"].square().mean(0))


def test_guard_bounds_the_gradient_of_an_exploding_gap() -> None:
    torch.manual_seed(0)
    model = EBM(DataSpec((2,)), energy_penalty=0.0, data_noise=0.0, temperature=1.0, buffer_size=64, max_gap=0.5)
    model.net = Linear(2)
    nn.init.ones_(model.net.first)
    model.advance_chains = lambda num, _: (torch.zeros(num, 2), None)
    for size, expected in ((0.25, 0.5), (1e6, 1.0)):  # gap f(x) - f(0) = 2 size; the limit is max_gap D = 1
        model.net.zero_grad()
        model.loss(Batch(torch.full((8, 2), size)))["loss"].backward()
        torch.testing.assert_close(model.net.first.grad.sum(), torch.tensor(expected))


def test_kl_term_reaches_the_parameters_through_the_last_step_only() -> None:
    """On U = w v (reference aside) the last step moves v by -step w, so d E_stop(v_K) / d w = -step (w + dU_ref)."""
    torch.manual_seed(0)
    model = EBM(DataSpec((1,)), temperature=1.0, step_size=1e-6, buffer_size=64, kl_weight=1.0)
    model.net = Linear(1)
    chains = 1e3 * torch.arange(20.0).view(20, 1)  # so far apart that the entropy has next to no slope
    sampler_kl(model.energy, model.net, chains, model.step_size).backward()
    slope = model.net.first.detach() + chains.mean()  # U = w v + v^2 / 2
    torch.testing.assert_close(model.net.first.grad, -model.step_size * slope, rtol=0.02, atol=0)


def test_log_prob_integrates_to_one_and_knows_its_constant() -> None:
    torch.manual_seed(0)
    model = EBM(DataSpec((2,)), temperature=0.2, buffer_size=8, ais_chains=300, ais_steps=30).eval()
    estimate = model.partition()
    assert abs(estimate.log_z - exact_log_z(model)) < max(0.02, 4.0 * estimate.standard_error)
    line = torch.linspace(-6.0, 6.0, 121)
    made = model.estimator()
    assert (made["ais_chains"], made["ais_steps"], made["log_z"]) == (300, 30, pytest.approx(estimate.log_z))
    assert 1.0 < made["effective_chains"] < 300.0  # standard error^2 = 1 / effective - 1 / chains
    expected = math.sqrt(1.0 / made["effective_chains"] - 1.0 / 300.0)
    assert made["log_z_standard_error"] == pytest.approx(expected, rel=1e-3)
    total = model.log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    torch.testing.assert_close(total, torch.tensor(1.0), atol=0.03, rtol=0)


@pytest.mark.parametrize("num_levels", [2, 5])
def test_masses_of_levels_are_a_bound_that_tightens(num_levels: int) -> None:
    """sum_x exp(E[bound]) <= 1, and many draws bring it near to one: P(x | v) and the noise fit together."""
    torch.manual_seed(0)
    model = EBM(DataSpec((1, 1, 1), num_levels), temperature=0.2, buffer_size=8).eval()
    model.levels.counts.copy_(torch.arange(1, num_levels + 1))
    log_z = exact_log_z(model)
    model.partition = lambda: Partition(log_z, 0.0, 1.0, 1.0)
    levels = torch.arange(num_levels, dtype=torch.uint8).view(-1, 1, 1, 1)
    one = torch.stack([model.log_prob(levels) for _ in range(200)]).mean(0).exp().sum()
    many = model.log_prob(levels, num_samples=1000).exp().sum()
    assert one < many < 1.03


def test_constant_is_estimated_once_per_weights_and_saved() -> None:
    torch.manual_seed(0)
    model = EBM(DataSpec((2,)), buffer_size=8, ais_chains=20, ais_steps=5).eval()
    calls, estimate = [], model.estimate_partition
    model.estimate_partition = lambda: calls.append(1) or estimate()
    x = torch.randn(5, 2)
    first = model.log_prob(x)
    assert torch.equal(model.log_prob(x), first) and len(calls) == 1
    twin = EBM(DataSpec((2,)), buffer_size=8).eval()
    twin.load_state_dict(model.state_dict())
    twin.estimate_partition = None  # would raise when called
    assert torch.equal(twin.log_prob(x), first)
    with torch.no_grad():
        next(model.net.parameters()).mul_(1.01)
    assert not torch.equal(model.log_prob(x), first) and len(calls) == 2


def test_denoising_is_the_posterior_mean_of_a_gaussian() -> None:
    """v ~ N(0, 1) seen through noise sigma: E[x | v] = (1 - sigma^2) v; an untrained reference is N(0, I)."""
    model = EBM(DIGITS, data_noise=0.5, buffer_size=8)
    nn.init.zeros_(model.net.head.weight)
    v = torch.randn(3, 1, 8, 8)
    torch.testing.assert_close(model.denoise(v), 0.75 * v)


def test_buffer_counts_restarts_and_writes_where_it_read() -> None:
    torch.manual_seed(0)
    buffer = ReplayBuffer((2,), capacity=4000, restart=0.25, visits=1)
    buffer.age.fill_(7)
    buffer.drawn.fill_(4000)
    before = buffer.chains.clone()
    index, state, _ = buffer.draw(2000, lambda n: torch.full((n, 2), 9.0))
    fresh = (state == 9.0).all(1)
    assert abs(fresh.float().mean() - 0.25) < 0.04
    assert len(index.unique()) == 2000 and torch.equal(state[~fresh], before[index[~fresh]])
    buffer.write(index, state + 1.0)
    assert torch.equal(buffer.chains[index], state + 1.0)
    untouched = torch.ones(4000, dtype=torch.bool).index_fill(0, index, False)
    assert torch.equal(buffer.chains[untouched], before[untouched]) and (buffer.age[untouched] == 7).all()
    assert (buffer.age[index[fresh]] == 1).all() and (buffer.age[index[~fresh]] == 8).all()


def test_buffer_restarts_a_broken_chain() -> None:
    buffer = ReplayBuffer((1,), capacity=5, restart=0.0)
    buffer.write(torch.arange(5), torch.tensor([[1.0], [float("nan")], [1.0], [float("inf")], [1.0]]))
    assert buffer.age.tolist() == [1, 0, 1, 0, 1]
    index, state, _ = buffer.draw(5, lambda n: torch.full((n, 1), -5.0))
    assert state[index.argsort()].flatten().tolist() == [1.0, -5.0, 1.0, -5.0, 1.0]


def test_buffer_grows_with_use_and_picks_the_older_half() -> None:
    buffer = ReplayBuffer((1,), capacity=100, restart=0.0, visits=4)
    torch.manual_seed(0)
    used = set()
    for step in range(1, 61):
        index, state, _ = buffer.draw(8, lambda n: torch.zeros(n, 1))
        buffer.write(index, state)
        used |= set(index.tolist())
        assert max(used) < max(8, 8 * (step - 1) // 4)
    assert len(used) > 80
    buffer.age.copy_(torch.arange(100))
    buffer.chains.copy_(torch.arange(100.0).view(100, 1))
    picked = buffer.pick(75).state.flatten()
    assert picked.min() >= 50 and len(picked[:50].unique()) == 50


def test_resumed_model_moves_the_same_chains() -> None:
    torch.manual_seed(0)
    model = EBM(DIGITS, buffer_size=32, langevin_steps=2)
    batch = Batch(torch.randint(17, (8, 1, 8, 8), dtype=torch.uint8))
    model.observe(batch)
    model.loss(batch)
    twin = EBM(DIGITS, buffer_size=32, langevin_steps=2)
    twin.load_state_dict(model.state_dict())
    outcomes = []
    for each in (model, twin):
        torch.manual_seed(5)
        each.observe(batch)
        outcomes.append(each.loss(batch)["loss"])
    assert torch.equal(*outcomes)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True))


def test_spectral_norm_holds_the_slope_of_a_layer() -> None:
    torch.manual_seed(0)
    model = EBM(DataSpec((4,)), spectral_norm=True, buffer_size=8)
    layer = model.net.features[2]
    with torch.no_grad():
        layer.parametrizations.weight.original.mul_(50.0)
    for _ in range(30):
        model.net(torch.randn(2, 4))
    assert torch.linalg.matrix_norm(layer.weight, 2) < 1.05


def test_ranked_samples_start_at_noise_and_need_no_chain_of_training() -> None:
    """An energy that makes p a Gaussian: 200 steps from the reference measure give its moments, though the buffer is broken.

    Precision P = 1 + 2 second / T, mean -first / (T P). The variance of a chain with step h is 1 / (P (1 - h P / 2)).
    """
    torch.manual_seed(0)
    model = EBM(DataSpec((2,)), data_noise=0.0, temperature=0.5, buffer_size=64, step_size=0.02).eval()
    model.net = Linear(2)
    model.net.first.data, model.net.second.data = torch.tensor([0.5, -1.0]), torch.tensor([0.0, 0.25])
    model.buffer.chains.fill_(math.nan)
    assert (model.sampler, model.nfe) == (Langevin(steps=200, start="noise"), 200)
    samples, precision = model.sample(4000), torch.tensor([1.0, 2.0])
    error = 5.0 / (4000 * precision).sqrt()
    assert ((samples.mean(0) + model.net.first / (0.5 * precision)).abs() < error).all()
    variance = 1.0 / (precision * (1.0 - 0.01 * precision))
    assert ((samples.var(0) / variance).log().abs() < 5.0 * (2.0 / 4000) ** 0.5).all()
    model.use(Langevin(steps=60, start="buffer"))
    assert model.nfe == 60 and not model.sample(5).isfinite().any()
    assert compose(["model=ebm", "data=toy2d"]).model.sampler.start == "noise"


def test_trained_on_two_dimensions_it_finds_the_density() -> None:
    """Two modes, which no Gaussian reference has: the samples have both, and log_prob is near the true density."""
    torch.manual_seed(0)
    model = EBM(
        DataSpec((2,)),
        hidden_channels=4,
        buffer_size=512,
        ais_chains=200,
        ais_steps=40,
        langevin_steps=10,
        sampler=Langevin(steps=20, start="buffer"),
        step_size=0.02,
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.0, 0.999))
    target = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(torch.tensor([0.3, 0.7])),
        torch.distributions.Independent(torch.distributions.Normal(torch.tensor([[-1.2, 1.0], [1.2, 0.0]]), 0.4), 1),
    )
    for update in range(200):
        optimizer.param_groups[0]["lr"] = 5e-3 * (1.0 - update / 200)
        model.loss(Batch(target.sample((128,))))["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    samples, x = model.sample(1000), target.sample((2000,))
    assert abs((samples[:, 0] < 0.0).float().mean() - 0.3) < 0.12
    divergence = target.log_prob(x).mean() - model.log_prob(x).mean()
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov())
    assert -0.02 < divergence < 0.4 * (target.log_prob(x) - gaussian.log_prob(x)).mean()
