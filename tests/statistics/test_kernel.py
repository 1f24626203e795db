"""The kernel distance against torch-fidelity, and its expectation against the closed form."""

import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from genarena.statistics import kernel
from genarena.statistics.kernel import squared_mmd


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
    assert squared_mmd(x.flip(0), y[torch.randperm(20, generator=generator)]) == pytest.approx(
        values[0].item(), rel=1e-9
    )
