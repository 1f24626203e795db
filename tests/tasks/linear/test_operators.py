"""All operators against their matrices."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from genarena.tasks.linear.block_mean import BlockMean
from genarena.tasks.linear.channel_mean import ChannelMean
from genarena.tasks.linear.convolution import Convolution, gaussian_kernel, motion_kernel
from genarena.tasks.linear.mask import Mask, identity
from genarena.tasks.linear.operator import Operator
from genarena.tasks.linear.problem import Problem
from genarena.tasks.noise import Noise

SHAPE = (3, 4, 8)


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def asymmetric() -> Tensor:
    return torch.tensor([[0.1, 0.2, 0.0], [0.0, 0.3, 0.25], [0.05, 0.0, 0.1]], dtype=torch.float64)


MADE = {
    "identity": lambda: identity(SHAPE),
    "mask": lambda: Mask(rand(1, 1, 4, 8).expand(-1, 3, -1, -1) > 0),
    "block_mean": lambda: BlockMean(SHAPE, 2),
    "channel_mean": lambda: ChannelMean(SHAPE),
    "convolution": lambda: Convolution(SHAPE, asymmetric(), cutoff=1e-9),
    "cut_convolution": lambda: Convolution(SHAPE, gaussian_kernel(3, 1.5), cutoff=0.1),
}
operators = pytest.mark.parametrize("operator", [make() for make in MADE.values()], ids=list(MADE))


def matrix(operator: Operator) -> Tensor:
    """A (M, D)."""
    eye = torch.eye(torch.Size(operator.shape).numel(), dtype=torch.float64)
    return operator(eye.unflatten(1, operator.shape)).flatten(1).T


@operators
def test_the_adjoint_is_that_of_the_inner_product(operator: Operator) -> None:
    u, v = rand(5, *operator.observed_shape), rand(5, *operator.shape, seed=1)
    assert operator(v).shape == u.shape and operator.adjoint(u).shape == v.shape
    sides = (u * operator(v)).flatten(1).sum(1), (operator.adjoint(u) * v).flatten(1).sum(1)
    assert torch.allclose(*sides, rtol=1e-12)


@operators
@pytest.mark.parametrize("c", [0.0, 0.01, 3.0])
def test_the_closed_forms_are_those_of_the_matrix(operator: Operator, c: float) -> None:
    """A^+ too is that of the matrix, with its singular values below the cutoff taken for zero."""
    a, y = matrix(operator), rand(2, *operator.observed_shape)
    flat = (y * operator.observed).flatten(1)
    cutoff = getattr(operator, "cutoff", 1e-9)
    inverse = torch.linalg.pinv(a, rtol=cutoff)
    assert torch.allclose(operator.pseudo_inverse(y).flatten(1), flat @ inverse.T, atol=1e-9)
    whole = inverse.T @ inverse if c == 0 else (a @ a.T + c * torch.eye(len(a))).inverse()
    assert torch.allclose((operator.solve(y, c) * operator.observed).flatten(1), flat @ whole.T, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in MADE if name != "cut_convolution"])
def test_the_pseudo_inverse_gives_back_what_is_observed(name: str) -> None:
    operator, x = MADE[name](), rand(2, *SHAPE)
    assert torch.allclose(operator(operator.pseudo_inverse(operator(x))), operator(x), atol=1e-12)


def test_a_cut_pseudo_inverse_leaves_out_what_is_below_the_cutoff() -> None:
    operator, x = MADE["cut_convolution"](), rand(2, *SHAPE)
    assert 0 < operator.kept.sum() < operator.kept.numel()
    lost = operator(x) - operator(operator.pseudo_inverse(operator(x)))
    assert 1e-3 < lost.abs().max() and lost.norm() < 0.1 * x.norm()


@operators
def test_a_problem_goes_from_0_1_to_the_space_of_models(operator: Operator) -> None:
    x, n = rand(2, *SHAPE), rand(2, *operator.observed_shape, seed=1) * operator.observed
    problem = Problem(operator, operator(x) + 0.1 * n, 0.1, Noise.of([(k,) for k in range(2)])).in_space()
    assert problem.sigma == 0.2
    assert torch.allclose(problem.y, operator(2 * x - 1) + 0.2 * n, atol=1e-12)


@operators
def test_rows_belong_to_their_image_and_single_precision_is_kept(operator: Operator) -> None:
    x = rand(4, *SHAPE)
    assert torch.allclose(operator.rows(slice(1, 2))(x[1:2]), operator(x)[1:2], atol=1e-14)
    single = operator.to("cpu")(x.float())
    assert single.dtype == torch.float32 and torch.allclose(single.double(), operator(x), atol=1e-5)
    y = operator(x).float()
    for back in (operator.adjoint(y), operator.pseudo_inverse(y), operator.solve(y, 0.3)):
        assert back.dtype == torch.float32


@operators
def test_all_can_be_differentiated(operator: Operator) -> None:
    x, y = (rand(1, *shape).requires_grad_() for shape in (operator.shape, operator.observed_shape))
    assert torch.autograd.gradcheck(operator, x)
    for function in (operator.adjoint, operator.pseudo_inverse, lambda each: operator.solve(each, 0.3)):
        assert torch.autograd.gradcheck(function, y)


@pytest.mark.parametrize(("operator", "size"), [(BlockMean(SHAPE, 4), 1 / 16), (ChannelMean(SHAPE), 1 / 3)])
def test_means_have_orthogonal_rows(operator: Operator, size: float) -> None:
    a = matrix(operator)
    assert torch.allclose(a @ a.T, size * torch.eye(len(a), dtype=torch.float64), atol=1e-12)


def test_it_is_a_true_convolution_and_goes_round() -> None:
    """A pixel becomes the kernel, as it is, around its place."""
    x = torch.zeros(1, 1, 6, 7, dtype=torch.float64)
    x[0, 0, 2, 0] = 1.0
    y = Convolution((1, 6, 7), asymmetric())(x)[0, 0]
    wanted = torch.zeros(6, 7, dtype=torch.float64)
    wanted[1:4, [6, 0, 1]] = asymmetric()
    assert torch.allclose(y, wanted, atol=1e-12)


def test_kernels() -> None:
    blur, line = gaussian_kernel(9, 1.5), motion_kernel(9, 30.0)
    assert torch.allclose(torch.stack([blur.sum(), line.sum()]), torch.ones(2).double())
    assert torch.allclose(blur[4, 6] / blur[4, 4], torch.tensor(-0.5 * (2 / 1.5) ** 2).double().exp())
    row = torch.zeros(9, 9, dtype=torch.float64)
    row[4] = 1 / 9
    assert torch.allclose(motion_kernel(9, 0.0), row) and torch.allclose(motion_kernel(9, 90.0), row.T, atol=1e-12)
    places = torch.arange(9).double() - 4
    up, across = -places[:, None].expand(9, 9), places.expand(9, 9)
    moments = [(line * one * other).sum() for one, other in ((up, up), (up, across), (across, across))]
    assert moments[1] > 0  # up to the right
    angle = 0.5 * torch.atan2(2 * moments[1], moments[2] - moments[0])
    assert abs(angle.rad2deg() - 30.0) < 1.0


def test_the_transfer_of_a_gaussian_falls_with_the_frequency() -> None:
    operator = Convolution((1, 28, 28), gaussian_kernel(9, 1.5))
    row = operator.transfer[0].real
    assert abs(row[0] - 1) < 1e-12 and all(high > low for high, low in pairwise(row[:8]))
    frequency = 2 * torch.pi * torch.arange(4) / 28
    assert torch.allclose(row[:4], torch.exp(-0.5 * (1.5 * frequency) ** 2).double(), atol=0.02)


def test_wrong_sizes_are_refused() -> None:
    for make, said in (
        (lambda: BlockMean((1, 6, 8), 4), "blocks of 4 x 4: do not divide images of 6 x 8"),
        (lambda: Convolution((1, 8, 8), gaussian_kernel(9, 1.5)), "a kernel of 9 x 9: larger than images of 8 x 8"),
        (lambda: Convolution((1, 8, 8), torch.ones(2, 3)), "a kernel of 2 x 3: expected odd sides"),
    ):
        with pytest.raises(ValueError, match=said):
            make()
