"""C_T against scipy's Mann-Whitney U cell by cell, and on models that copy, fit and underfit."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from genarena.metrics.base import Unavailable
from genarena.metrics.c_t import CT
from genarena.statistics.cells import centres, num_cells
from genarena.statistics.copying import ranked
from genarena.statistics.rows import content_order


def moons(n: int, seed: int) -> torch.Tensor:
    """The paper's first example: two half circles with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    angle = np.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    lower = torch.rand(n, generator=generator) < 0.5
    x = torch.where(lower, 1 - angle.cos(), angle.cos())
    y = torch.where(lower, 0.5 - angle.sin(), angle.sin())
    return torch.stack([x, y], 1) + 0.1 * torch.randn(n, 2, generator=generator, dtype=torch.float64)


def measure(train: torch.Tensor, real: torch.Tensor, fake: torch.Tensor) -> tuple[float, dict]:
    metric = CT()
    metric.update(centres(train[content_order(train)], num_cells(len(fake))), train, real, fake)
    return metric.compute(), metric.record()


@pytest.mark.parametrize("ties", [False, True])
def test_z_equals_scipy(ties: bool) -> None:
    generator = np.random.default_rng(0)
    fake, real = generator.normal(size=40), generator.normal(0.3, size=55)
    if ties:
        fake, real = fake.round(0), real.round(0)
    u = mannwhitneyu(fake, real).statistic
    expected = (u - 40 * 55 / 2) / np.sqrt(40 * 55 * (40 + 55 + 1) / 12)
    found = ranked(torch.from_numpy(fake), torch.from_numpy(real))
    assert found.z == pytest.approx(expected, rel=1e-12)
    assert found.below == pytest.approx(1.0 - u / (40 * 55), rel=1e-12)


def test_equals_the_definition_cell_by_cell() -> None:
    train, real, fake = moons(400, 0), moons(300, 1), moons(1000, 2)
    value, record = measure(train, real, fake)
    middles = centres(train[content_order(train)], 5)
    labels = [cdist(rows, middles).argmin(1) for rows in (train, real, fake)]
    total, weight = 0.0, 0
    for cell in range(5):
        own, test, samples = (rows[label == cell] for rows, label in zip((train, real, fake), labels, strict=True))
        u = mannwhitneyu(cdist(samples, own).min(1), cdist(test, own).min(1)).statistic
        m, n = len(samples), len(test)
        total += n * (u - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12)
        weight += n
    assert value == pytest.approx(total / weight, rel=1e-9)
    assert len(record["cells"]) == 5
    assert sum(cell["n"] for cell in record["cells"]) == record["n"] == 1000


def test_copying_is_far_below_zero_and_underfitting_far_above() -> None:
    train, real = moons(500, 0), moons(1000, 1)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(1000, 2, generator=generator, dtype=torch.float64)
    kernel_density = train[torch.randint(500, (1000,), generator=generator)]
    assert measure(train, real, kernel_density + 0.003 * noise)[0] < -8.0
    assert measure(train, real, kernel_density + 0.5 * noise)[0] > 5.0
    assert abs(measure(train, real, moons(1000, 2))[0]) < 2.5


def test_copying_in_one_region_shows_where_a_global_test_is_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Right half copied, left half underfit: over all of space the two cancel, within cells they do not."""
    train, real = moons(500, 0), moons(1000, 1)
    generator = torch.Generator().manual_seed(3)
    fake = train[torch.randint(500, (1000,), generator=generator)]
    noise = torch.randn(1000, 2, generator=generator, dtype=torch.float64)
    fake = fake + torch.where(fake[:, :1] > 0.5, 0.003, 0.4) * noise
    values = [cell["z"] for cell in measure(train, real, fake)[1]["cells"]]
    assert min(values) < -5.0
    assert max(values) > 1.0


def test_cells_that_do_not_count() -> None:
    train = torch.cat([moons(200, 0), moons(200, 1) + 100.0])
    real = torch.cat([moons(100, 2), moons(300, 3) + 100.0])
    fake = moons(400, 4)  # two cells, none of the samples in the second
    value, record = measure(train, real, fake)
    assert [(cell["n"], cell["n_real"]) for cell in record["cells"]] == [(400, 100)]
    assert value == pytest.approx(record["cells"][0]["z"])
    with pytest.raises(Unavailable, match="no cell holds 20 samples and a test example"):
        measure(train, real, fake[:19])


def test_order_does_not_matter() -> None:
    train, real, fake = moons(300, 0), moons(200, 1), moons(600, 2)
    generator = torch.Generator().manual_seed(0)
    shuffled = [rows[torch.randperm(len(rows), generator=generator)] for rows in (train, real, fake)]
    assert measure(*shuffled)[0] == pytest.approx(measure(train, real, fake)[0], rel=1e-9)
    assert num_cells(10_000) == num_cells(50_000) == 50


@pytest.mark.parametrize("noise, low, high", [(0.0, 0.7, 1.4), (0.1, 0.7, 1.4)])
def test_the_stated_errors_are_those_of_repeated_draws(noise: float, low: float, high: float) -> None:
    """Test examples and samples drawn anew 60 times, with and without a difference."""
    train, values, errors, null = moons(400, 0), [], [], 0.0
    generator = torch.Generator().manual_seed(7)
    for draw in range(60):
        fake = moons(600, 2 * draw + 2)
        fake = fake + noise * torch.randn(fake.shape, generator=generator, dtype=torch.float64)
        value, record = measure(train, moons(400, 2 * draw + 1), fake)
        values.append(value)
        errors.append(record["standard_error"])
        null = record["null_sd"]
    spread = torch.tensor(values).std().item()
    assert low < torch.tensor(errors).square().mean().sqrt().item() / spread < high
    if not noise:
        assert low < null / spread < high
        assert abs(sum(values) / 60) < 3.5 * null / 60**0.5


def test_only_copies_give_an_alarm() -> None:
    train, real = moons(500, 0), moons(1000, 1)
    generator = torch.Generator().manual_seed(3)
    copies = train[torch.randint(500, (1000,), generator=generator)]
    assert measure(train, real, copies)[1]["alarm"].startswith("a sample is nearer to the training examples than")
    assert "alarm" not in measure(train, real, moons(1000, 2))[1]
    many = moons(5000, 5)
    crowded = many[
        np.sort(cdist(many, moons(2000, 6)), axis=1)[:, 20].argsort()[:1000]
    ]  # from the densest fifth of space
    value, record = measure(train, real, crowded)
    assert value / record["null_sd"] < -6.0
    assert "alarm" not in record
