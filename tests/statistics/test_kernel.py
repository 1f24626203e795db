"""The kernel distance against torch-fidelity, and its expectation against the closed form."""

import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from genarena.statistics import kernel
from genarena.statistics.kernel import cubic, minus_distance, two_sample


def squared_mmd(x: torch.Tensor, y: torch.Tensor) -> float:
    return two_sample(x, y, cubic).value


def test_equals_torch_fidelity_on_one_subset_of_everything() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(150, 12, generator=generator, dtype=torch.float64)
    y = 1.2 * torch.randn(150, 12, generator=generator, dtype=torch.float64) + 0.1
    theirs = kid_features_to_metric(
        x,
        y,
        kid_subsets=1,
        kid_subset_size=150,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1.0,
        rng_seed=0,
        verbose=False,
    )
    assert squared_mmd(x, y) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)


def test_closed_form_of_point_masses() -> None:
    """x always 0, y always c, one feature: k(0, 0) = 1, k(0, c) = 1, k(c, c) = (c^2 + 1)^3."""
    x, y = torch.zeros(5, 1, dtype=torch.float64), torch.full((7, 1), 2.0, dtype=torch.float64)
    assert squared_mmd(x, y) == pytest.approx(1.0 + 125.0 - 2.0, rel=1e-12)


def test_unbiased_and_independent_of_chunks_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many draws from one distribution the mean is 0 within its error; a biased estimate would be far above."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(400, 2, 20, 4, generator=generator, dtype=torch.float64)
    values = torch.tensor([squared_mmd(x, y) for x, y in draws], dtype=torch.float64)
    assert abs(values.mean()) < 4.0 * values.std() / 20.0
    x, y = draws[0]
    monkeypatch.setattr(kernel, "ROWS", 3)
    monkeypatch.setattr(kernel, "COLUMNS", 5)
    assert squared_mmd(x.flip(0), y[torch.randperm(20, generator=generator)]) == pytest.approx(
        values[0].item(), rel=1e-9
    )


def test_energy_distance_by_loops() -> None:
    x, y = torch.tensor([[0.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0], [3.0, 0.0]])
    across = (0 + 4 + 3 + 5 + 3 + 4) / 6
    within = 5.0 + (4 + 3 + 5) / 3
    assert two_sample(x, y, minus_distance).value == pytest.approx(2 * across - within, rel=1e-12)


@pytest.mark.parametrize("kernel_of", [cubic, minus_distance])
@pytest.mark.parametrize(
    "shift, scale, least, most", [(0.0, 1.0, 1.0, 1.35), (0.3, 1.0, 0.9, 1.15), (0.0, 1.4, 0.85, 1.15)]
)
def test_standard_error_is_the_spread_of_repeated_draws(
    kernel_of: kernel.Kernel, shift: float, scale: float, least: float, most: float
) -> None:
    """At equal distributions the linear part vanishes, and what is left is bounded from below: not smaller than the spread."""
    generator = torch.Generator().manual_seed(0)
    estimates = []
    for _ in range(400):
        x = torch.randn(80, 4, generator=generator, dtype=torch.float64)
        estimates.append(
            two_sample(x, scale * torch.randn(60, 4, generator=generator, dtype=torch.float64) + shift, kernel_of)
        )
    values, errors = torch.tensor(estimates, dtype=torch.float64).T
    ratio = errors.square().mean().sqrt() / values.std()
    assert least < ratio < most  # the spread of 400 draws is known to 4%


def test_standard_error_of_equal_sets_is_not_zero() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert two_sample(x, x + 0.0, cubic).standard_error > 0.0
