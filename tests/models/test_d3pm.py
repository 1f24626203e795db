"""The bound and the samples of D3PM where they are known: an enumerable joint, and a distribution of one level."""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from genarena.models.discrete_diffusion.d3pm import D3PM
from genarena.models.discrete_diffusion.level_predictions import AnyLevels, LevelPrediction, Logistic
from genarena.models.discrete_diffusion.reverse_chain import ReverseChain
from genarena.spec import DataSpec
from tests.models import test_masked_diffusion as masked
from tests.models.tiny import NARROW

JOINT = masked.JOINT
STATES = torch.tensor(list(itertools.product([0, 1, 2], repeat=3)))  # 2 is the mask
MASSES = torch.tensor([0.1, 0.35, 0.05, 0.2, 0.3])
KINDS = pytest.mark.parametrize("kind", ["gaussian", "uniform", "absorbing"])


class Told(D3PM):
    """The network is replaced by the conditionals of `test_masked_diffusion`, which may be wrong."""

    def predicted(self, x_t: Tensor, t: Tensor, context: Tensor | None = None) -> LevelPrediction:
        hidden = x_t == 2
        return AnyLevels(self.other.logits(x_t.masked_fill(hidden, 0), hidden).mT.float())


class Prior(D3PM):
    """One dimension, for which p_theta(x_0 | x_t) = p(x_0) in eq. 4 gives the true reverse chain."""

    def predicted(self, x_t: Tensor, t: Tensor, context: Tensor | None = None) -> LevelPrediction:
        return AnyLevels(MASSES.log().expand(*x_t.shape, 5))


def absorbing(steps: int, wrong: float) -> Told:
    model = Told(masked.SMALL, net=NARROW, corruption="absorbing", num_steps=steps, sampler=ReverseChain(1)).eval()
    model.other = masked.told(wrong=wrong)
    return model


@torch.no_grad()
def exact_bound(model: D3PM, x: Tensor, states: Tensor) -> Tensor:
    """(N,) nats: minus the sum over all steps and all x_t, weighed by q(x_t | x_0)."""
    total, rows = torch.zeros(len(x), dtype=torch.float64), len(x) * len(states)
    x_0, x_t = x.repeat_interleave(len(states), 0), states.repeat(len(x), 1)
    for step in range(1, model.chain.num_steps + 1):
        t = torch.full((rows,), step)
        weight = model.chain.marginal(x_0, t).gather(2, x_t[..., None]).double().flatten(1).prod(1)
        possible = weight > 0
        term = torch.zeros(rows, dtype=torch.float64)
        p = model.states(model.predicted(x_t[possible], t[possible]))
        term[possible] = model.step_term(x_0[possible], x_t[possible], t[possible], p).double()
        total -= (weight * term).view(len(x), -1).sum(1)
    return total - model.chain.prior_term[x].sum(1)


@pytest.mark.parametrize("wrong", [0.0, 0.5])
def test_the_bound_of_the_absorbing_chain_is_that_of_masked_diffusion(wrong: float) -> None:
    """For T steps it is a sum where continuous time has an integral, of the same cross-entropies; they meet as 1 / T."""
    x, limit = JOINT.states, masked.exact_bound(masked.told(wrong=wrong), JOINT.states)
    for steps in (1, 4):
        expected = torch.zeros(8, dtype=torch.float64)
        for step, hidden in itertools.product(range(1, steps + 1), masked.SUBSETS):
            k, t = int(hidden.sum()), step / steps
            log_prob = masked.told(wrong=wrong).logits(x, hidden.expand(8, 3)).log_softmax(1)
            found = (log_prob.gather(1, x[:, None]).squeeze(1) * hidden).sum(1)
            expected += t**k * (1 - t) ** (3 - k) / step * found
        torch.testing.assert_close(exact_bound(absorbing(steps, wrong), x, STATES), expected, rtol=0, atol=1e-5)
    off = [exact_bound(absorbing(steps, wrong), x, STATES) - limit for steps in (20, 40)]
    assert off[0].abs().max() > 0.05
    torch.testing.assert_close(
        2.0 * off[1] - off[0], torch.zeros(8).double(), rtol=0, atol=2e-3
    )  # what is left is 1 / T^2
    if not wrong:
        assert (JOINT.masses * off[1]).sum() < 0.0, "below the entropy on average"


@pytest.mark.parametrize("num_samples", [1, 3, None])
def test_log_prob_is_an_unbiased_estimate_of_the_bound(num_samples: int | None) -> None:
    model, x, repeats = absorbing(4, 0.5), JOINT.states, 5000
    torch.manual_seed(0)
    images = x.repeat_interleave(repeats, 0).view(-1, 1, 1, 3).to(torch.uint8)
    order = torch.randperm(len(images))  # strata of a batch are spread over the states
    values = torch.empty(len(images), dtype=torch.float64)
    values[order] = model.log_prob(images[order], num_samples=num_samples).double()
    values = values.view(8, repeats)
    expected = exact_bound(model, x, STATES)
    assert ((values.mean(1) - expected).abs() < 4.0 * values.std(1) / repeats**0.5 + 1e-5).all()


@KINDS
def test_of_the_true_reverse_chain_the_bound_is_the_entropy(kind: str) -> None:
    model = Prior(DataSpec((1, 1, 1), 5), net=NARROW, corruption=kind, num_steps=7, sampler=ReverseChain(1)).eval()
    states = torch.arange(model.chain.num_states)[:, None]
    bound = exact_bound(model, torch.arange(5)[:, None], states)
    entropy = -(MASSES * MASSES.log()).sum().item()
    last = MASSES.double() @ model.chain.marginal(torch.arange(5)[None], torch.tensor([7]))[0, :, :].double()
    known = (torch.special.xlogy(last, last) - torch.special.xlogy(last, model.chain.end.double())).sum().item()
    assert -(MASSES.double() * bound).sum().item() == pytest.approx(entropy + known, abs=1e-5)


@KINDS
@pytest.mark.parametrize("nfe", [7, 3])
def test_the_true_reverse_chain_samples_the_data_in_any_number_of_steps(kind: str, nfe: int) -> None:
    spec = DataSpec((1, 1, 1), 5)
    model = Prior(spec, net=NARROW, corruption=kind, num_steps=7, sampler=ReverseChain(nfe)).eval()
    torch.manual_seed(2)
    counts = model.sample(20_000).flatten().long().bincount(minlength=5)
    assert model.nfe == nfe
    assert chisquare(counts.numpy(), (MASSES.double() / MASSES.double().sum() * 20_000).numpy()).pvalue > 1e-3


def test_predictions_sum_to_one_and_agree_with_their_logarithms() -> None:
    torch.manual_seed(0)
    mean, log_scale = torch.randn(2, 3), torch.tensor([-1.0, -3.0, 0.5]).expand(2, 3)
    for prediction in (Logistic(mean, log_scale, 17), AnyLevels(torch.randn(2, 3, 17))):
        masses = prediction.probs()
        torch.testing.assert_close(masses.sum(-1), torch.ones(2, 3))
        x_0 = torch.tensor([[0, 8, 16], [3, 16, 0]])
        found = masses.gather(2, x_0[..., None]).squeeze(-1)
        torch.testing.assert_close(prediction.log_prob(x_0).exp(), found, rtol=1e-4, atol=1e-7)


def test_a_hidden_level_is_not_seen_and_a_visible_one_is() -> None:
    torch.manual_seed(0)
    model = D3PM(DataSpec((2, 4, 3), 5), net=NARROW, corruption="absorbing", head="categorical").eval()
    x_t, t = torch.randint(6, (1, 24)), torch.tensor([40])
    before = model.predicted(x_t, t).probs()
    for place in (0, 23):
        changed = x_t.clone()
        changed[0, place] = (x_t[0, place] + 1) % 6
        assert not torch.equal(model.predicted(changed, t).probs(), before)
    assert model.states(model.predicted(x_t, t))[..., 5].abs().max() == 0


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (DataSpec((1, 4, 4), 2), {"corruption": "gaussian"}, "corruption=gaussian: 100 steps leave"),
        (DataSpec((1, 4, 4), 300), {}, "d3pm: 300 levels; expected at most 256"),
        (DataSpec((2,)), {}, "d3pm models images"),
        (DataSpec((1, 4, 4), 17), {"num_steps": 20}, "sampler.nfe=25: expected at most 20, the number of steps"),
    ],
)
def test_impossible_options_are_refused(spec: DataSpec, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        D3PM(spec, **options)


def test_estimator_says_how_many_steps_were_drawn() -> None:
    model = absorbing(4, 0.0)
    assert [model.estimator(num)["steps_drawn"] for num in (1, 3, 9, None)] == [1, 3, 4, 4]
    assert math.isclose(
        model.log_prob(torch.zeros(1, 1, 1, 3, dtype=torch.uint8), num_samples=None).item(), -1.2, abs_tol=3.0
    )
