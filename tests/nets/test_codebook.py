"""Codebooks against brute force, k-means by hand and the fixed point of the averages."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from genarena.nets.codebook import DEAD, Codebook, FiniteScalar, perplexity, usage


def clusters(centres: Tensor, num: int, spread: float = 0.05) -> Tensor:
    torch.manual_seed(0)
    return (centres[:, None] + spread * torch.randn(len(centres), num, centres.shape[1])).flatten(0, 1)


def test_codes_are_the_nearest_by_brute_force() -> None:
    torch.manual_seed(1)
    book, x = Codebook(7, 3), torch.randn(2, 3, 4, 5)
    quantised = book(x)
    assert quantised.codes.shape == (2, 4, 5)
    for n, i, j in itertools.product(range(2), range(4), range(5)):
        distances = [float((x[n, :, i, j] - vector).square().sum()) for vector in book.vectors]
        code = int(quantised.codes[n, i, j])
        assert code == distances.index(min(distances))
        torch.testing.assert_close(quantised.vectors[n, :, i, j], book.vectors[code])
        assert quantised.gap[n, i, j].item() == pytest.approx(min(distances), rel=1e-4)
    torch.testing.assert_close(book.lookup(quantised.codes), quantised.vectors)


def test_gradient_of_the_vectors_is_that_of_the_input() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    weight = torch.randn(2, 3, 4, 5)
    (passed,) = torch.autograd.grad((Codebook(7, 3)(x).vectors * weight).sum(), x)
    assert torch.equal(passed, weight)


def test_gradient_of_the_gap_is_towards_the_code() -> None:
    torch.manual_seed(1)
    book, x = Codebook(7, 3), torch.randn(2, 3, 4, 5, requires_grad=True)
    quantised = book(x)
    (found,) = torch.autograd.grad(quantised.gap.sum(), x)
    torch.testing.assert_close(found, 2.0 * (x - quantised.vectors).detach())


def test_averages_settle_at_the_means_of_clusters() -> None:
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    x = clusters(centres, 200)
    book = Codebook(3, 2, decay=0.9)
    book.vectors.copy_(centres + 1.0)
    book.sums.copy_(book.vectors)
    for _ in range(200):
        book.update(x)
    torch.testing.assert_close(book.vectors, x.view(3, 200, 2).mean(1), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(book.counts, torch.full((3,), 200.0))


def test_one_update_by_hand() -> None:
    """n = 0.5 * 2 + 0.5 * 3 = 2.5; m = 0.5 * 2 + 0.5 * (1.1 + 1.2 + 1.3) = 2.8."""
    book = Codebook(2, 1, decay=0.5)
    book.vectors.copy_(torch.tensor([[1.0], [9.0]]))
    book.counts.copy_(torch.tensor([2.0, 2.0]))
    book.sums.copy_(torch.tensor([[2.0], [18.0]]))
    book.update(torch.tensor([[1.1], [1.2], [1.3], [9.0]]))
    torch.testing.assert_close(book.counts, torch.tensor([2.5, 1.5]))
    torch.testing.assert_close(book.vectors, torch.tensor([[2.8 / 2.5], [13.5 / 1.5]]))


def test_start_finds_the_clusters_and_the_first_update_does_not_move_the_codes() -> None:
    centres = torch.tensor([[0.0, 0.0], [40.0, 0.0], [0.0, 40.0], [40.0, 40.0]])
    x = clusters(centres, 100)
    book = Codebook(4, 2)
    for attempt in range(20):  # k-means may end in a local minimum: from some start all four are found
        book.updates.fill_(attempt)
        book.start(x)
        if (book.counts == 100).all():
            break
    torch.testing.assert_close(
        book.vectors.sort(0).values, x.view(4, 100, 2).mean(1).sort(0).values, atol=1e-3, rtol=0.0
    )
    before = book.vectors.clone()
    book.update(x)
    torch.testing.assert_close(book.vectors, before, atol=1e-4, rtol=1e-4)


def test_a_dead_code_is_put_at_an_input() -> None:
    x = clusters(torch.tensor([[0.0, 0.0], [4.0, 0.0]]), 50)
    book = Codebook(3, 2, decay=0.5)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [4.0, 0.0], [100.0, 100.0]]))
    book.sums.copy_(book.vectors)
    for _ in range(2 - math.ceil(math.log2(DEAD))):
        book.update(x)
        if book.vectors.abs().max() < 50:
            break
    assert (x == book.vectors[2]).all(1).any()
    assert len(book.nearest(x).unique()) == 3


def test_more_codes_than_inputs_start_and_are_finite() -> None:
    book = Codebook(20, 2)
    book.start(torch.randn(5, 2))
    book.update(torch.randn(5, 2))
    assert torch.isfinite(book.vectors).all() and book.vectors.abs().max() < 10.0


@pytest.mark.parametrize("levels", [[2], [3], [8, 5, 5, 5], [4, 3, 2]])
def test_finite_scalars_reach_each_of_their_codes_and_no_other(levels: list[int]) -> None:
    torch.manual_seed(0)
    book = FiniteScalar(levels)
    assert book.num_codes == math.prod(levels)
    quantised = book(6.0 * torch.rand(1, len(levels), 400, 400) - 3.0)
    assert torch.equal(quantised.codes.unique(), torch.arange(math.prod(levels)))
    torch.testing.assert_close(book.lookup(quantised.codes), quantised.vectors.detach(), atol=1e-6, rtol=0.0)
    vectors = book.lookup(torch.arange(book.num_codes).view(1, 1, -1))
    assert len(vectors.flatten(2).movedim(1, -1)[0].unique(dim=0)) == book.num_codes
    assert vectors.min() == -1.0 and vectors.max() == 1.0


def test_finite_scalars_of_zero_and_infinity() -> None:
    book = FiniteScalar([5, 3])
    x = torch.tensor([[0.0, 0.0], [torch.inf, -torch.inf]]).view(2, 2, 1, 1)
    assert book(x).vectors.flatten(1).tolist() == [[0.0, 0.0], [1.0, -1.0]]
    with pytest.raises(ValueError, match="levels=\\[5, 1\\]: expected at least two"):
        FiniteScalar([5, 1])


def test_finite_scalars_pass_the_gradient_of_the_bounded_input() -> None:
    book, x = FiniteScalar([5]), torch.tensor([0.3, -0.4]).view(2, 1, 1, 1).requires_grad_()
    (found,) = torch.autograd.grad(book(x).vectors.sum(), x)
    torch.testing.assert_close(found, 1.001 * (1.0 - x.detach().tanh().square()))


def test_perplexity_and_usage_of_known_counts() -> None:
    codes = torch.tensor([0, 0, 1, 1, 2, 2, 2, 2])
    assert perplexity(codes, 10).item() == pytest.approx(math.exp(0.5 * math.log(4) + 0.5 * math.log(2)))
    assert usage(codes, 10).item() == pytest.approx(0.3)
    assert perplexity(torch.arange(10), 10).item() == pytest.approx(10.0, rel=1e-5)
