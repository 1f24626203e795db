"""Memorisation: 0 for copies, 1 for fresh draws, and the distances in between."""

import pytest
import torch

from genarena.metrics import nearest_neighbour_ratio
from genarena.metrics.base import Unavailable, content_order
from genarena.metrics.nearest_neighbour_ratio import NearestNeighbourRatio


def images(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 17, (n, 1, 4, 4), generator=generator, dtype=torch.uint8)


def order(fake: torch.Tensor) -> torch.Tensor:
    """By content, as `Evidence.fake_order` is."""
    return torch.tensor(sorted(range(len(fake)), key=lambda row: fake[row].flatten().tolist()))


def measure(fake: torch.Tensor, real: torch.Tensor, train: torch.Tensor, parts: int = 1) -> tuple[float, dict]:
    metric = NearestNeighbourRatio()
    for fake_part, real_part in zip(fake.chunk(parts), real.chunk(parts), strict=True):
        metric.update(fake_part, real_part, train, order(fake_part))
    return metric.compute(), metric.record()


def test_a_memoriser_scores_zero_and_fresh_draws_one() -> None:
    train, real = images(500, 0), images(300, 1)
    value, record = measure(train[100:300], real, train)
    assert (value, record["copies"], record["copies_real"]) == (0.0, 1.0, 0.0)
    assert measure(images(300, 2), real, train)[0] == pytest.approx(1.0, abs=0.05)


def test_known_distances() -> None:
    train = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    real = torch.full((3, 1, 2, 2), 4, dtype=torch.uint8)  # distance 8
    fake = torch.full((3, 1, 2, 2), 1, dtype=torch.uint8)  # distance 2
    fake[0] = 0
    value, record = measure(fake, real, train)
    assert (value, record["median_distance"], record["copies"]) == (0.25, 2.0, pytest.approx(1 / 3))


def test_order_and_batches_do_not_matter() -> None:
    fake, real, train = images(60, 0), images(40, 1), images(80, 2)
    assert measure(fake.flip(0), real.flip(0), train.flip(0), parts=5) == measure(fake, real, train)


def test_which_queries_are_looked_up_is_a_matter_of_content(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_neighbour_ratio, "QUERIES", 25)
    fake, real, train = images(60, 0), images(40, 1), images(80, 2)
    chosen = fake[order(fake)[:25]]
    assert measure(fake, real, train) == measure(chosen, real[content_order(real)[:25]], train)
    assert measure(fake.flip(0), real.flip(0), train) == measure(fake, real, train)
    assert measure(fake, real, train, parts=4)[1]["n"] == 25


def test_no_ratio_to_nothing() -> None:
    train = images(50, 0)
    with pytest.raises(Unavailable, match="copies of training examples"):
        measure(images(10, 1), train[:10], train)
