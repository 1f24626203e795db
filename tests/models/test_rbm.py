"""RBM: its density and constant by enumeration, annealed importance sampling from both sides, persistent chains' gradient."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from genarena.likelihood import Likelihood
from genarena.models.energy import annealed_importance_sampling as ais
from genarena.models.energy.rbm import RBM, Gibbs
from genarena.spec import Batch, DataSpec

BINARY, LEVELS = DataSpec((1, 2, 3), 2), DataSpec((5,), 4)


def machine(spec: DataSpec = BINARY, num_hidden: int = 4, scale: float = 1.0, **options: object) -> RBM:
    torch.manual_seed(0)
    model = RBM(spec, num_hidden=num_hidden, **options)
    for parameter in model.parameters():
        parameter.data = scale * torch.randn_like(parameter)
    model.base.copy_(0.5 * torch.randn(spec.num_dims))
    return model


def every(spec: DataSpec) -> Tensor:
    """All states v (levels^D, *shape)."""
    return torch.tensor(list(product(range(spec.num_levels), repeat=spec.num_dims))).view(-1, *spec.shape)


@pytest.mark.parametrize("spec", [BINARY, LEVELS], ids=["binary", "levels"])
def test_the_density_is_the_sum_over_hidden_states_and_adds_up_to_one(spec: DataSpec) -> None:
    model, v = machine(spec), every(spec)
    log_prob = model.log_prob(v)
    assert log_prob.double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    states = torch.tensor(list(product([0.0, 1.0], repeat=4)))
    x = v.flatten(1).float()
    energy = x @ model.visible_bias + (states @ model.hidden_bias)[:, None] + states @ model.weight.T @ x.T
    ways = [math.log(math.prod(math.comb(spec.num_levels - 1, int(level)) for level in row)) for row in x]
    expected = energy.logsumexp(0) + torch.tensor(ways)
    torch.testing.assert_close(log_prob, expected - expected.logsumexp(0), atol=1e-4, rtol=0)
    assert model.likelihood is Likelihood.EXACT


def test_annealed_importance_sampling_holds_the_exact_constant_between_its_two_sides() -> None:
    """14 hidden units: forward chains are low on average, reverse ones, from exact samples, high (Grosse et al. 2015)."""
    model = machine(DataSpec((20,), 2), 14, 0.7)
    exact = model.log_hidden().double().logsumexp(0).item()
    model.ais_chains, model.ais_steps = 500, 200
    forward = model.estimate_partition()
    h = model.hidden_states[torch.distributions.Categorical(logits=model.log_hidden()).sample((500,))]
    v = model.counts(model.visible_bias + h @ model.weight.T)
    path = torch.linspace(1.0, 0.0, 201).tolist()
    with torch.no_grad():
        weights = model.annealed(v, path, torch.Generator().manual_seed(1))
    back = ais.partition_of(weights, 1.0)
    assert forward.standard_error < 0.1 and abs(forward.log_z - exact) < 3.0 * forward.standard_error
    assert abs(model.log_base() - back.log_z - exact) < 3.0 * back.standard_error
    assert forward.log_weights.mean().item() + model.log_base() < exact < model.log_base() - weights.mean().item()


def test_a_machine_too_large_to_enumerate_says_that_it_estimates() -> None:
    model = machine(num_hidden=15, ais_chains=50, ais_steps=50)
    assert model.likelihood is Likelihood.ESTIMATE
    made = model.estimator()
    assert made["ais_chains"] == 50 and made["log_z_standard_error"] > 0.0
    x, total = every(BINARY), model.log_prob(every(BINARY)).double().logsumexp(0).item()
    assert total == pytest.approx(0.0, abs=5.0 * made["log_z_standard_error"])
    assert torch.equal(model.log_prob(x), model.log_prob(x))


@pytest.mark.parametrize("spec", [BINARY, LEVELS], ids=["binary", "levels"])
def test_a_turn_of_both_layers_leaves_the_density_invariant(spec: DataSpec) -> None:
    """10,000 chains that start at exact draws are still distributed as p after a turn."""
    model, v = machine(spec), every(spec)
    p = model.log_prob(v).double().exp()
    start = v[torch.multinomial(p, 10_000, replacement=True)].flatten(1).float()
    with torch.no_grad():
        end = model.gibbs(start)
    powers = spec.num_levels ** torch.arange(spec.num_dims - 1, -1, -1)
    counts = torch.bincount((end.long() * powers).sum(1), minlength=len(v)).double()
    expected = 10_000 * p
    common = expected > 5.0
    chi2 = ((counts - expected).square() / expected)[common].sum().item()
    freedom = int(common.sum())
    assert abs(chi2 - freedom) < 4.0 * (2.0 * freedom) ** 0.5
    assert (end != start).any()


def test_the_gradient_of_persistent_chains_is_the_exact_one() -> None:
    """The mean gradient of many chains under fixed weights, against that of the exact -log p."""
    model = machine(BINARY, 4, 0.5, num_chains=10_000).train()
    data = Batch(every(BINARY)[:5])
    log_z = model.log_hidden().logsumexp(0)
    exact = torch.autograd.grad(model.free_energy(model.visible(data.x)).mean() + log_z, [*model.parameters()])
    for _ in range(30):  # the chains leave the base rates
        terms = model.loss(data)
    found = torch.autograd.grad(terms["loss"], [*model.parameters()])
    for ours, true in zip(found, exact, strict=True):
        torch.testing.assert_close(ours, true, atol=4.0 * 0.5 / 100.0, rtol=0)  # 4 s.e. of a mean of numbers in [0, 1]
    assert all(gradient.abs().max() > 0.05 for gradient in exact)


def test_chains_start_at_the_base_rates_of_the_first_batch() -> None:
    model = RBM(DataSpec((2,), 2), num_hidden=3)
    model.observe(Batch(torch.tensor([[0, 1], [0, 1], [1, 1], [0, 1]], dtype=torch.uint8)))
    torch.testing.assert_close(torch.sigmoid(model.base), torch.tensor([2.0 / 6.0, 5.0 / 6.0]))
    assert torch.equal(model.base, model.visible_bias)
    model.observe(Batch(torch.zeros(4, 2, dtype=torch.uint8)))
    assert torch.sigmoid(model.base)[1] > 0.8


def test_samples_are_chains_from_noise_or_of_the_training() -> None:
    model = machine(BINARY, 4, sampler=Gibbs(steps=0))
    assert model.sample(3).shape == (3, 1, 2, 3) and model.sample(3).dtype == torch.uint8
    model.buffer.chains.fill_(1.0)
    model.use(Gibbs(steps=0, start="buffer"))
    assert (model.sample(200) == 1).all()


def test_continuous_data_is_refused() -> None:
    with pytest.raises(ValueError, match="RBM models integer levels"):
        RBM(DataSpec((2,)))
