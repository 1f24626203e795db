"""Exact normalisation, causality and sampling of Image GPT."""

import itertools
import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from genarena.compression.range_coding import RangeCoder
from genarena.models.autoregressive.image_gpt import ImageGPT
from genarena.models.autoregressive.tokens import BlockTokens
from genarena.models.keeping import draw
from genarena.spec import DataSpec
from tests.compression.tiny import QUIET, images


def small_model(shape: tuple[int, ...], num_levels: int, **options: object) -> ImageGPT:
    """A model with large random weights, so that nothing is close to uniform."""
    torch.manual_seed(3)
    model = ImageGPT(DataSpec(shape, num_levels), hidden_channels=16, num_blocks=2, num_heads=2, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def all_images(shape: tuple[int, ...], num_levels: int) -> Tensor:
    size = DataSpec(shape, num_levels).num_dims
    return torch.tensor(list(itertools.product(range(num_levels), repeat=size)), dtype=torch.uint8).view(-1, *shape)


CASES = [  # shape, levels, side of blocks, tokens, vocabulary
    ((1, 2, 3), 2, None, 3, 4),  # 2 does not divide 3: blocks of 2 x 1
    ((1, 2, 3), 2, 1, 6, 2),
    ((1, 2, 4), 2, None, 2, 16),
    ((2, 2, 2), 2, None, 2, 16),
    ((3, 1, 2), 3, None, 6, 3),
    ((1, 2, 2), 4, 2, 1, 256),
]


@pytest.mark.parametrize(("shape", "levels", "block", "num_tokens", "vocabulary"), CASES)
@torch.no_grad()
def test_the_masses_of_all_images_sum_to_one(
    shape: tuple[int, ...], levels: int, block: int | None, num_tokens: int, vocabulary: int
) -> None:
    model = small_model(shape, levels, block=block)
    assert (model.nfe, model.tokens.vocabulary) == (num_tokens, vocabulary)
    log_prob = model.log_prob(all_images(shape, levels))
    assert log_prob.double().exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert log_prob.std() > 0.1  # not the uniform model, which sums to one as well


@pytest.mark.parametrize(("shape", "levels", "block"), [case[:3] for case in CASES])
def test_tokens_are_a_bijection(shape: tuple[int, ...], levels: int, block: int | None) -> None:
    world = all_images(shape, levels)
    tokens = BlockTokens(DataSpec(shape, levels), block)
    codes = tokens.encode(world)
    assert codes.shape == (len(world), tokens.num_tokens) and int(codes.max()) == tokens.vocabulary - 1
    assert len(codes.unique(dim=0)) == len(world)
    blocks = torch.zeros(len(world), tokens.num_tokens, tokens.num_pixels, dtype=torch.uint8)
    for token, pixel in itertools.product(range(tokens.num_tokens), range(tokens.num_pixels)):
        at = tokens.place(token, pixel)
        blocks[:, token, pixel] = world[:, at["channel"], at["row"], at["column"]]
    assert torch.equal(tokens.join(blocks), codes)
    assert torch.equal(tokens.image(blocks), world)


@pytest.mark.parametrize("backend", ["fused", "math"])
@pytest.mark.parametrize(("shape", "levels"), [((1, 4, 6), 2), ((3, 2, 3), 17)])
def test_an_output_depends_on_every_earlier_token_and_on_no_other(
    shape: tuple[int, ...], levels: int, backend: str
) -> None:
    """By the gradient of each position's logits in the embeddings of all positions."""
    model = small_model(shape, levels, backend=backend).double()
    embedded = model.embedding(torch.randint(model.tokens.vocabulary, (1, model.nfe))).detach().requires_grad_()
    logits = model.logits(embedded).double() @ torch.randn(model.tokens.vocabulary, dtype=torch.float64)
    reached = [torch.autograd.grad(out, embedded, retain_graph=True)[0][0].abs().sum(1) > 0 for out in logits[0]]
    assert torch.equal(torch.stack(reached), torch.ones(model.nfe, model.nfe, dtype=torch.bool).tril(-1))


def sample_naive(model: ImageGPT, num_samples: int) -> Tensor:
    """One full pass per token."""
    blocks = torch.zeros(num_samples, model.tokens.num_tokens, model.tokens.num_pixels)
    for token in range(model.tokens.num_tokens):
        logits = model.logits(model.embedding(model.tokens.join(blocks)))[:, token]
        blocks[:, token] = model.choose_block(logits, token, draw)
    return model.tokens.image(blocks).to(torch.uint8)


@pytest.mark.parametrize(("shape", "levels"), [((1, 6, 6), 17), ((1, 8, 6), 2), ((3, 3, 2), 256)])
@torch.no_grad()
def test_cached_sampling_equals_one_full_pass_per_token(shape: tuple[int, ...], levels: int) -> None:
    model = small_model(shape, levels)
    torch.manual_seed(0)
    cached = model.sample(6)
    torch.manual_seed(0)
    assert torch.equal(cached, sample_naive(model, 6))
    assert len(cached.unique()) > 1


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((1, 2, 3), 2), ((2, 2, 2), 2)])
@torch.no_grad()
def test_samples_occur_as_often_as_the_likelihood_says(shape: tuple[int, ...], levels: int) -> None:
    model, world = small_model(shape, levels), all_images(shape, levels)
    powers = levels ** torch.arange(world[0].numel() - 1, -1, -1)
    counts = (model.sample(40_000).flatten(1).long() @ powers).bincount(minlength=len(world)).double()
    expected = model.log_prob(world).double().exp() * 40_000
    order = expected.argsort()
    rare = int((expected < 10).sum())  # the test asks for 10 in every cell: the rare images share one
    cells = [
        torch.cat([value[order][: rare + 1].sum()[None], value[order][rare + 1 :]]) for value in (counts, expected)
    ]
    assert len(cells[0]) > 8
    assert chisquare(cells[0].numpy(), (cells[1] * 40_000 / cells[1].sum()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("shape", "levels"), [((1, 4, 4), 2), ((2, 3, 2), 5)])
@torch.no_grad()
def test_the_product_of_what_traverse_meets_is_the_likelihood(shape: tuple[int, ...], levels: int) -> None:
    model, total = small_model(shape, levels), torch.zeros(7)
    x = torch.randint(levels, (7, *shape), dtype=torch.uint8)

    def given(distribution, *, channel: int, row: int, column: int) -> Tensor:
        level = x[:, channel, row, column]
        total.add_(distribution.probs().float().view(7, levels).log().gather(1, level[:, None].long()).squeeze(1))
        return level

    assert torch.equal(model.traverse(7, given), x)
    torch.testing.assert_close(total, model.log_prob(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "levels"), [((1, 6, 6), 2), ((2, 5, 4), 17)])
@torch.no_grad()
def test_files_have_the_length_that_the_likelihood_says(shape: tuple[int, ...], levels: int) -> None:
    model = small_model(shape, levels)
    x, coder = images(model, 100), RangeCoder(model)
    words = coder.encode(x, QUIET)
    assert torch.equal(coder.decode(words, len(x), QUIET), x)
    claimed = -model.log_prob(x).double().sum().item() / math.log(2.0)
    assert claimed < 32 * len(words) + 32
    assert 32 * len(words) < 1.0005 * claimed + 64


def test_large_vocabularies_and_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="block=2: 17 levels in blocks of 4 make a vocabulary of 83521"):
        ImageGPT(DataSpec((1, 4, 4), 17), block=2)
    with pytest.raises(ValueError, match="vocabulary of 65536"):
        ImageGPT(DataSpec((1, 4, 4), 65536))
    with pytest.raises(ValueError, match="image_gpt models images"):
        ImageGPT(DataSpec((2,)))
