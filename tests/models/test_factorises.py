"""Autoregressive models dimension by dimension: their order, and the completion of examples of which a part is known."""

import itertools

import pytest
import torch
from torch import Tensor

from genarena.distributions import PixelDistribution
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.made import MADE
from genarena.models.autoregressive.pixelcnn import PixelCNN
from genarena.models.capabilities import Factorises
from genarena.models.keeping import draw
from genarena.spec import DataSpec

GREY, COLOUR = DataSpec((1, 2, 3), 2), DataSpec((2, 2, 2), 2)
CASES = [  # `order_agnostic` and blocks of pixels: other orders than the raster scan
    (PixelCNN, GREY, {"hidden_channels": 4, "num_blocks": 2, "first_kernel_size": 3}),
    (PixelCNN, COLOUR, {"hidden_channels": 4, "num_blocks": 2, "first_kernel_size": 3}),
    (MADE, GREY, {"hidden": (16,)}),
    (MADE, COLOUR, {"hidden": (16,), "order_agnostic": True}),
    (MADE, DataSpec((5,), 2), {"hidden": (16,)}),
    (ImageGPT, DataSpec((1, 2, 4), 2), {"hidden_channels": 8, "num_blocks": 1, "num_heads": 2}),
    (ImageGPT, COLOUR, {"hidden_channels": 8, "num_blocks": 1, "num_heads": 2, "block": 1}),
]
EVERY_CASE = pytest.mark.parametrize(
    ("make", "spec", "options"), CASES, ids=[f"{make.__name__}-{spec.shape}" for make, spec, _ in CASES]
)


def random_model(make: type[Factorises], spec: DataSpec, options: dict) -> Factorises:
    """With large random weights, so that no dimension is independent of those before it."""
    torch.manual_seed(5)
    model = make(spec, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model


def all_examples(spec: DataSpec) -> Tensor:
    every = list(itertools.product(range(spec.num_levels), repeat=spec.num_dims))
    return torch.tensor(every, dtype=torch.uint8).view(-1, *spec.shape)


def marginal(log_prob: Tensor, x: Tensor, known: Tensor) -> Tensor:
    """log p of the dimensions `known` of x, by summation over all examples; log_prob (N,) of all x (N, D)."""
    same = (x[:, None, known] == x[:, known]).all(2)
    return torch.where(same, log_prob, -torch.inf).logsumexp(1)


class Given:
    """A `Choose` that gives the levels of x. places: where it was asked; total: log p of what it gave, (N,) nats."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.places, self.total = x, [], torch.zeros(len(x), dtype=torch.float64)
        self.index = torch.arange(x[0].numel()).view(x.shape[1:] if x.dim() == 4 else (-1, 1, 1))

    def __call__(self, distribution: PixelDistribution, *, channel: int, row: int, column: int) -> Tensor:
        self.places.append(int(self.index[channel, row, column]))
        level = self.x.flatten(1)[:, self.places[-1]]
        probs = distribution.probs().view(len(level), -1)
        self.total += probs.gather(1, level[:, None].long()).squeeze(1).log()
        return level


@EVERY_CASE
@torch.no_grad()
def test_a_known_beginning_is_kept_and_the_rest_has_its_exact_conditional(
    make: type[Factorises], spec: DataSpec, options: dict
) -> None:
    """For every length of the beginning and every example: what `traverse` meets is log p(x) - log p(beginning)."""
    model, world = random_model(make, spec, options), all_examples(spec)
    values, order = world.flatten(1), model.order()
    assert sorted(order.tolist()) == list(range(spec.num_dims))
    log_prob = model.log_prob(world).double()
    assert log_prob.std() > 0.3
    for num_known in range(spec.num_dims + 1):
        keep, given = torch.full((len(world), spec.num_dims), torch.nan), Given(world)
        keep[:, order[:num_known]] = values[:, order[:num_known]].float()
        assert torch.equal(model.traverse(len(world), given, keep=keep.view(world.shape)), world)
        assert given.places == order[num_known:].tolist(), "asked for the unknown ones, in this order"
        expected = log_prob - marginal(log_prob, values, order[:num_known])
        torch.testing.assert_close(given.total, expected, rtol=1e-4, atol=1e-4)


@EVERY_CASE
def test_completions_of_a_known_beginning_are_drawn_from_the_exact_conditional(
    make: type[Factorises], spec: DataSpec, options: dict
) -> None:
    model, world = random_model(make, spec, options), all_examples(spec)
    values, num, half = world.flatten(1), 20_000, spec.num_dims // 2
    keep = torch.full((num, spec.num_dims), torch.nan)
    known = model.order()[:half]
    keep[:, known] = values[len(world) // 3, known].float()
    drawn = model.traverse(num, draw, keep=keep.view(num, *spec.shape)).flatten(1)
    assert torch.equal(drawn[:, known].float(), keep[:, known])
    with torch.no_grad():
        fits = (values[:, known] == values[len(world) // 3, known]).all(1)
        expected = model.log_prob(world).double().masked_fill(~fits, -torch.inf).softmax(0)
    powers = 2 ** torch.arange(spec.num_dims - 1, -1, -1)
    shares = (drawn.long() @ powers).bincount(minlength=len(world)).double() / num
    assert (shares - expected).abs().sum() < 2.0 * (expected * 2 / (torch.pi * num)).sqrt().sum(), (
        "twice what chance gives"
    )


@torch.no_grad()
def test_single_rows_and_single_places_are_kept_bit_for_bit() -> None:
    torch.manual_seed(0)
    for make, spec, options in [*CASES, (MADE, DataSpec((5,)), {"hidden": (16,)})]:
        model = random_model(make, spec, options)
        given = torch.randint(2, (50, *spec.shape)).float() if spec.is_discrete else torch.randn(50, *spec.shape)
        keep = torch.where(torch.rand(given.shape) < 0.5, given, torch.nan)
        x = model.traverse(50, draw, keep=keep)
        assert x.dtype == (spec.dtype if spec.is_discrete else torch.float32)
        assert torch.equal(x.float()[~keep.isnan()], given[~keep.isnan()])
        torch.manual_seed(1)
        nothing_known = model.traverse(50, draw, keep=torch.full_like(given, torch.nan))
        torch.manual_seed(1)
        assert torch.equal(nothing_known, model.traverse(50, draw))


def test_what_does_not_factorise_and_a_wrong_shape_are_refused() -> None:
    mixture = MADE(GREY, hidden=(8,), num_masks=2)
    for call in (mixture.order, lambda: mixture.traverse(2, draw)):
        with pytest.raises(ValueError, match="num_masks=2: a mixture"):
            call()
    with pytest.raises(ValueError, match=r"keep has shape \(1, 1, 2, 3\): expected \(2, 1, 2, 3\)"):
        MADE(GREY, hidden=(8,)).traverse(2, draw, keep=torch.zeros(1, 1, 2, 3))
