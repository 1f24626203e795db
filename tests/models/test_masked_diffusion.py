"""The bound and the sampler of masked diffusion against an enumerable joint."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from genarena.models.discrete_diffusion.masked_diffusion import MaskedDiffusion
from genarena.models.discrete_diffusion.masking import draw_counts, draw_masks
from genarena.models.discrete_diffusion.unmasking import Unmasking, draw_levels
from genarena.nets.transformer import ImageTransformer
from genarena.spec import DataSpec
from tests.analytic import BinaryJoint
from tests.models.tiny import NARROW

TRANSFORMER = partial(ImageTransformer, hidden_channels=8, num_blocks=1)
SMALL = DataSpec((1, 1, 3), 2)
JOINT = BinaryJoint(torch.tensor([0.30, 0.02, 0.05, 0.13, 0.04, 0.21, 0.01, 0.24]))
SUBSETS = torch.tensor(list(itertools.product([False, True], repeat=3))[1:])  # what may be masked


class Told(MaskedDiffusion):
    """A model whose network is replaced by known conditionals; wrong: how far their logits are off."""

    wrong = 0.0

    def logits(self, levels: Tensor, masked: Tensor, context: Tensor | None = None) -> Tensor:
        exact = JOINT.conditionals(levels, masked)
        shift = self.wrong * (1.0 + masked.sum(1))[:, None] * torch.tensor([1.0, -0.5, 0.3])
        return torch.stack([exact[:, 0], exact[:, 1] + shift], 1)


def told(nfe: int | None = None, wrong: float = 0.0) -> Told:
    model = Told(SMALL, sampler=Unmasking(nfe), net=NARROW).eval()
    model.wrong = wrong
    return model


def exact_bound(model: Told, x: Tensor) -> Tensor:
    """(N,) nats: the expectation over times and independent masks, by the trapezoidal rule in t and a sum over all subsets."""
    times = torch.linspace(0.0, 1.0, 20_001, dtype=torch.float64)
    total = torch.zeros(len(x), dtype=torch.float64)
    for masked in SUBSETS:
        k = int(masked.sum())
        weight = torch.trapezoid(times ** (k - 1) * (1.0 - times) ** (3 - k), times)  # t^k (1-t)^(3-k) / t
        log_prob = model.logits(x, masked.expand(len(x), 3)).log_softmax(1)
        total += weight * (log_prob.gather(1, x[:, None]).squeeze(1) * masked).sum(1)
    return total


def estimates(model: Told, x: Tensor, repeats: int, num_samples: int | None) -> tuple[Tensor, Tensor]:
    """Means and standard errors (N,) of independent estimates of the bound."""
    torch.manual_seed(0)
    images = x.repeat_interleave(repeats, 0).view(-1, 1, 1, 3).to(torch.uint8)
    order = torch.randperm(len(images))  # strata of a batch are spread over the states
    values = torch.empty(len(images), dtype=torch.float64)
    values[order] = model.log_prob(images[order], num_samples=num_samples)
    values = values.view(len(x), repeats)
    return values.mean(1), values.std(1) / repeats**0.5


@pytest.mark.parametrize("num_samples", [1, 2, None])
def test_bound_of_exact_conditionals_is_log_p_for_every_x(num_samples: int | None) -> None:
    model, x = told(), JOINT.states
    torch.testing.assert_close(exact_bound(model, x), JOINT.log_prob(x), rtol=0, atol=1e-4)
    mean, error = estimates(model, x, 20_000, num_samples)
    assert (error > 0).all()
    assert ((mean - JOINT.log_prob(x)).abs() < 4.0 * error).all()
    entropy, spread = (JOINT.masses * mean).sum(), (JOINT.masses * error).square().sum().sqrt()
    assert abs(-entropy.item() - JOINT.entropy()) < 4.0 * spread.item()


@pytest.mark.parametrize("num_samples", [1, None])
def test_bound_of_wrong_conditionals_is_below_the_entropy_by_what_they_cost(num_samples: int | None) -> None:
    model, x = told(wrong=0.5), JOINT.states
    expected = exact_bound(model, x)
    assert -(JOINT.masses * expected).sum().item() > JOINT.entropy() + 0.02
    mean, error = estimates(model, x, 20_000, num_samples)
    assert ((mean - expected).abs() < 4.0 * error + 1e-4).all()


def test_counts_are_uniform_and_stratified_and_masks_have_them() -> None:
    torch.manual_seed(0)
    assert draw_counts(12, 6).sort().values.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    halves = [draw_counts(6, 6, part, 2).sort().values.tolist() for part in range(2)]
    assert halves == [[1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6]]
    counts = draw_counts(30_000, 4)
    masks = draw_masks(counts, 4)
    assert torch.equal(masks.sum(1), counts)
    pairs = masks[counts == 2].long() @ torch.tensor([8, 4, 2, 1])
    found = pairs.bincount()[[3, 5, 6, 9, 10, 12]]
    assert int(found.sum()) == len(pairs)
    assert chisquare(found.numpy()).pvalue > 1e-3


def frequencies(model: Told, num: int = 40_000) -> Tensor:
    torch.manual_seed(1)
    return JOINT.index(model.sample(num).view(num, 3)).bincount(minlength=8)


@pytest.mark.parametrize("nfe", [3, None])
def test_one_dimension_per_step_samples_the_joint(nfe: int | None) -> None:
    assert chisquare(frequencies(told(nfe)).numpy(), (JOINT.masses * 40_000).numpy()).pvalue > 1e-3


def test_all_dimensions_at_once_sample_the_product_of_the_marginals() -> None:
    """The factorisation error of too few steps, which is known here."""
    ones = JOINT.masses @ JOINT.states.double()
    product = torch.where(JOINT.states == 1, ones, 1.0 - ones).prod(1)
    found = frequencies(told(1))
    assert chisquare(found.numpy(), (product * 40_000).numpy()).pvalue > 1e-3
    assert chisquare(found.numpy(), (JOINT.masses * 40_000).numpy()).pvalue < 1e-6


@pytest.mark.parametrize("net", [NARROW, TRANSFORMER], ids=["unet", "transformer"])
def test_what_is_filled_stays_and_every_step_fills_its_share(net: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = MaskedDiffusion(DataSpec((2, 4, 5), 7), net=net, sampler=Unmasking(6)).eval()
    seen, logits = [], model.logits

    def watched(levels: Tensor, masked: Tensor, context: Tensor | None = None) -> Tensor:
        seen.append((levels.clone(), masked.clone()))
        return logits(levels, masked)

    monkeypatch.setattr(model, "logits", watched)
    final = model.sample(5).flatten(1).long()
    seen.append((final, torch.zeros(5, 40, dtype=torch.bool)))
    assert len(seen) == 7 and model.nfe == 6
    assert seen[0][1].all()
    assert len(seen[1][1].unique(dim=0)) > 1, "each image has an order of its own"
    for (before, masked), (after, still) in itertools.pairwise(seen):
        assert torch.equal(before[~masked], after[~masked])
        assert not (still & ~masked).any(), "what is filled is not masked again"
        assert ((masked & ~still).sum(1) - 40 / 6).abs().max() < 1


@pytest.mark.parametrize("net", [NARROW, TRANSFORMER], ids=["unet", "transformer"])
def test_logits_depend_on_all_visible_levels_and_on_no_masked_one(net: Callable) -> None:
    torch.manual_seed(0)
    model = MaskedDiffusion(DataSpec((2, 4, 3), 5), net=net, sampler=Unmasking(2)).eval()
    levels, masked = torch.randint(4, (1, 24)), draw_masks(torch.tensor([10]), 24)
    changed = levels + torch.eye(24, dtype=torch.long)
    with torch.no_grad():
        moved = model.logits(changed, masked.expand(24, 24)) != model.logits(
            levels.expand(24, 24), masked.expand(24, 24)
        )
    assert torch.equal(moved.flatten(1).any(1), ~masked[0])


def test_impossible_levels_are_never_drawn_and_nan_stays_nan() -> None:
    logits = torch.tensor([[0.0, -math.inf, 1.0], [math.nan, 0.0, 0.0]], dtype=torch.float64)
    torch.manual_seed(0)
    drawn = torch.stack([draw_levels(logits) for _ in range(2000)])
    assert drawn[:, 1].isnan().all() and not (drawn[:, 0] == 1).any()
    counts = drawn[:, 0].long().bincount(minlength=3)[[0, 2]]
    share = torch.softmax(torch.tensor([0.0, 1.0], dtype=torch.float64), 0)
    assert chisquare(counts.numpy(), (2000 * share).numpy()).pvalue > 1e-3


def test_levels_are_drawn_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """A level of mass 2^-30 is drawn where the random number says so; in float32 neither number can tell."""
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 1.0 - 2.0**-31))
    logits = torch.tensor([[0.0, -30.0 * math.log(2.0)], [0.0, -33.0 * math.log(2.0)]])
    assert draw_levels(logits).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        (SMALL, {"sampler": Unmasking(4)}, "sampler.nfe=4: expected at most 3"),
        (DataSpec((1, 8, 8), 5000), {}, "5000 levels"),
        (DataSpec((2,)), {}, "masked_diffusion models images"),
        (DataSpec((1, 8, 8), 2), {"net": partial(ImageTransformer, hidden_channels=6)}, "hidden_channels=6"),
    ],
)
def test_impossible_options_are_refused(spec: DataSpec, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskedDiffusion(spec, **options)


def test_estimator_says_how_many_times_were_drawn() -> None:
    model = told()
    assert [model.estimator(num)["times_drawn"] for num in (1, 2, 7, None)] == [1, 2, 3, 3]
