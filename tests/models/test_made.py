"""Causality, exact normalisation, mixtures over masks and incremental sampling of MADE."""

import itertools

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch import Tensor

from genarena.models.autoregressive.degrees import raster_degrees
from genarena.models.autoregressive.gaussian_mixture import GaussianMixture
from genarena.models.autoregressive.made import MADE
from genarena.spec import Batch, DataSpec

TWO_LAYERS = {"hidden": [24, 20], "num_masks": 3, "order_agnostic": True, "direct": True}


def small_model(shape: tuple[int, ...], num_levels: int | None, spread: float = 3.0, **options: object) -> MADE:
    """A model with random weights, `spread` times as large as at the start, so that nothing is close to uniform."""
    torch.manual_seed(3)
    model = MADE(DataSpec(shape, num_levels), **{"hidden": [40], "num_mixtures": 3, **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(spread)
    return model.eval()


def all_images(shape: tuple[int, ...], num_levels: int) -> Tensor:
    size = DataSpec(shape, num_levels).num_dims
    return torch.tensor(list(itertools.product(range(num_levels), repeat=size)), dtype=torch.uint8).view(-1, *shape)


def test_natural_order_is_the_raster_scan_with_channels_innermost() -> None:
    image = raster_degrees((3, 2, 2)).view(3, 2, 2)
    assert image[:, 0, 0].tolist() == [1, 2, 3]
    assert image[:, 0, 1].tolist() == [4, 5, 6]
    assert image[:, 1, 1].tolist() == [10, 11, 12]
    assert raster_degrees((4,)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": [400]},
        {"hidden": [400, 300]},
        {"hidden": [400], "direct": True},
        {"hidden": [], "direct": True},
        {"hidden": [400, 300], "num_masks": 2, "order_agnostic": True},
    ],
)
def test_an_output_depends_on_every_dimension_before_it_and_on_no_other(options: dict) -> None:
    """The Jacobian, in the order of the mask, is zero on and above the diagonal and nowhere below it."""
    model = small_model((2, 3, 3), 17, **options).double()
    torch.manual_seed(0)
    for mask in range(model.num_masks):
        order = model.degrees(mask)[0].argsort()
        jacobians = [
            torch.autograd.functional.jacobian(lambda v, mask=mask: model.outputs(v[None], mask)[0].square().sum(0), v)
            for v in torch.rand(8, 18).double()
        ]
        moved = (torch.stack(jacobians).abs().sum(0) > 0)[order][:, order]  # eight points: a unit may be off at one
        assert torch.equal(moved, torch.ones(18, 18, dtype=torch.bool).tril(-1))


@pytest.mark.parametrize(
    ("shape", "num_levels", "options"),
    [
        ((1, 3, 3), 2, {}),
        ((1, 3, 3), 2, TWO_LAYERS),
        ((1, 2, 3), 2, {"hidden": [], "direct": True}),
        ((3, 1, 2), 3, {}),
        ((1, 2, 2), 5, {"pixels": "logistic_mixture"}),
        ((2, 1, 1), 17, {"pixels": "logistic"}),
        ((3, 1, 1), 8, {**TWO_LAYERS, "pixels": "logistic_mixture"}),
        ((4,), 4, TWO_LAYERS),
        ((1, 1, 1), 40, {}),
    ],
)
@torch.no_grad()
def test_the_masses_of_all_images_sum_to_one(shape: tuple[int, ...], num_levels: int, options: dict) -> None:
    log_prob = small_model(shape, num_levels, **options).log_prob(all_images(shape, num_levels))
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert log_prob.std() > 0.1  # not the uniform model, which sums to one as well


@torch.no_grad()
def test_density_of_vectors_integrates_to_one() -> None:
    model = small_model((2,), None, spread=1.5, **TWO_LAYERS)
    axis = torch.linspace(-12.0, 12.0, 1201)
    grid = torch.cartesian_prod(axis, axis)
    density = torch.cat([model.log_prob(part) for part in grid.split(200_000)]).exp()
    assert (density.sum() * 0.02**2).item() == pytest.approx(1.0, abs=1e-3)


@torch.no_grad()
def sample_naive(model: MADE, num_samples: int) -> Tensor:
    """One full pass per dimension."""
    masks = torch.randint(model.num_masks, (num_samples,))
    samples = torch.zeros(
        num_samples, *model.spec.shape, dtype=torch.uint8 if model.spec.is_discrete else torch.float32
    )
    for mask in masks.unique().tolist():
        rows = masks == mask
        x = samples[rows]
        for dim in model.degrees(mask)[0].argsort().tolist():
            outputs = model.outputs(model.inputs(x), mask)[:, :, dim : dim + 1]
            x.view(len(x), -1)[:, dim] = model.distribution(outputs).draw().flatten()
        samples[rows] = x
    return samples


@pytest.mark.parametrize(
    ("shape", "num_levels", "options"),
    [
        ((1, 6, 7), 2, {}),
        ((1, 6, 5), 17, TWO_LAYERS),
        ((3, 3, 4), 256, {}),
        ((1, 5, 5), 2, {"hidden": [], "direct": True}),
    ],
)
def test_incremental_sampling_equals_one_full_pass_per_dimension(shape: tuple, num_levels: int, options: dict) -> None:
    model = small_model(shape, num_levels, **options)
    torch.manual_seed(0)
    quick = model.sample(40)
    torch.manual_seed(0)
    assert torch.equal(quick, sample_naive(model, 40))
    assert len(quick.unique()) > 1


def test_incremental_sampling_of_vectors() -> None:
    model = small_model((5,), None, spread=1.5, **TWO_LAYERS)
    torch.manual_seed(0)
    quick = model.sample(40)
    torch.manual_seed(0)
    torch.testing.assert_close(quick, sample_naive(model, 40), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "num_levels", "options"),
    [
        ((1, 2, 3), 2, {}),
        ((1, 2, 2), 3, TWO_LAYERS),
        ((2, 1, 1), 8, {"pixels": "logistic_mixture"}),
    ],
)
@torch.no_grad()
def test_samples_occur_as_often_as_the_likelihood_says(shape: tuple, num_levels: int, options: dict) -> None:
    model, images = small_model(shape, num_levels, spread=2.0, **options), all_images(shape, num_levels)
    powers = num_levels ** torch.arange(images[0].numel() - 1, -1, -1)
    counts = (model.sample(20_000).flatten(1).long() @ powers).bincount(minlength=len(images)).double()
    expected = model.log_prob(images).double().exp() * 20_000
    order = expected.argsort()
    num_rare = int((expected < 10).sum())  # the test asks for 10 in every cell: the rare images share one
    cells = [
        torch.cat([value[order][: num_rare + 1].sum()[None], value[order][num_rare + 1 :]])
        for value in (counts, expected)
    ]
    assert len(cells[0]) > 8
    assert chisquare(cells[0].numpy(), (cells[1] * 20_000 / cells[1].sum()).numpy()).pvalue > 1e-3


@torch.no_grad()
def test_the_model_is_the_equal_mixture_of_its_masks() -> None:
    model = small_model((1, 3, 3), 2, **TWO_LAYERS)
    x = all_images((1, 3, 3), 2)
    each = torch.stack([model.mask_log_prob(x, mask) for mask in range(3)])
    torch.testing.assert_close(model.log_prob(x).exp(), each.exp().mean(0))
    assert (each[0] - each[1]).abs().max() > 0.1
    assert not torch.equal(model.degrees(0)[0], model.degrees(1)[0])
    losses = []
    for model.batches_seen in range(4):
        losses.append(model.loss(Batch(x))["nll"].item())
    assert losses[:3] == pytest.approx((-each.mean(1)).tolist(), rel=1e-5)
    assert losses[3] == losses[0]


@torch.no_grad()
def test_without_hidden_layers_it_is_logistic_regression_on_the_pixels_before() -> None:
    model = small_model((1, 2, 2), 2, hidden=[], direct=True)
    x = all_images((1, 2, 2), 2).flatten(1)
    values, weight, bias = 2.0 * x - 1.0, model.direct.weight, model.direct.bias
    total = torch.zeros(16)
    for d in range(4):
        p = torch.sigmoid(values[:, :d] @ weight[d, :d] + bias[d])
        total += torch.where(x[:, d] > 0, p, 1.0 - p).log()
    torch.testing.assert_close(model.log_prob(x.view(16, 1, 2, 2)), total)


@torch.no_grad()
def test_gaussian_mixture_draws_what_its_density_says() -> None:
    torch.manual_seed(1)
    mixture = GaussianMixture.of(torch.tensor([[0.3, -0.4], [-1.0, 2.0], [-0.5, 0.2]]).flatten().view(1, 6, 1))
    weights = torch.softmax(torch.tensor([0.3, -0.4]), 0).tolist()
    normals = [torch.distributions.Normal(m, s) for m, s in ((-1.0, 2.718281828**-0.5), (2.0, 2.718281828**0.2))]
    at = torch.tensor([[0.7]])
    expected = sum(w * normal.log_prob(at).exp() for w, normal in zip(weights, normals, strict=True)).log()
    torch.testing.assert_close(mixture.log_prob(at), expected)
    wide = GaussianMixture(*(part.expand(20_000, -1, -1) for part in (mixture.logits, mixture.mean, mixture.log_scale)))
    cdf = lambda v: sum(w * normal.cdf(torch.as_tensor(v)).numpy() for w, normal in zip(weights, normals, strict=True))  # noqa: E731
    assert kstest(wide.draw().flatten().numpy(), cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "direct=true"),
        ({"hidden": [0]}, "at least 1"),
        ({"num_masks": 0}, "num_masks=0"),
        ({"pixels": "bernoulli"}, "num_levels=2"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MADE(DataSpec((1, 4, 4), 17), **options)


def test_masks_follow_the_degrees_that_are_loaded() -> None:
    """Degrees are part of the weights: the kept masks are made anew of those in the file."""
    model = small_model((1, 2, 2), 2, hidden=[6])
    state = model.state_dict()
    state["degrees_1"] = state["degrees_1"].flip(1)
    before = model.mask_0.clone()
    model.load_state_dict(state)
    assert torch.equal(model.mask_0, before.flip(0)) and not torch.equal(model.mask_0, before)
