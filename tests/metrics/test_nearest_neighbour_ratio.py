"""Memorisation: 0 for copies, 1 for fresh draws, and the distances in between; copies that are shifted; the alarm."""

import pytest
import torch
from torch import Tensor

from genarena.metrics.base import Unavailable
from genarena.metrics.nearest_neighbour_ratio import NearestNeighbourRatio
from genarena.statistics.copying import closeness


def images(n: int, seed: int, side: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 17, (n, 1, side, side), generator=generator, dtype=torch.uint8)


def blobs(n: int, seed: int, side: int = 12) -> Tensor:
    """Grey images of three smooth spots each at random places, on black; no two are alike."""
    generator = torch.Generator().manual_seed(seed)
    at = 2 + (side - 5) * torch.rand(n, 3, 2, 1, 1, generator=generator)
    grid = torch.arange(side, dtype=torch.float32)
    squares = (grid[:, None] - at[:, :, 0]) ** 2 + (grid - at[:, :, 1]) ** 2
    return (250 * torch.exp(-squares / 2).amax(1, keepdim=True)).round().to(torch.uint8)


def measure(fake: Tensor, real: Tensor, train: Tensor, shift: int = 0) -> tuple[float, dict]:
    metric = NearestNeighbourRatio()
    metric.update(closeness(fake, train, shift), closeness(real, train, shift), train)
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


def test_order_does_not_matter() -> None:
    fake, real, train = images(60, 0), images(40, 1), images(80, 2)
    assert measure(fake.flip(0), real.flip(0), train.flip(0), shift=1) == measure(fake, real, train, shift=1)


def test_no_ratio_to_nothing() -> None:
    train = images(50, 0)
    with pytest.raises(Unavailable, match="copies of training examples"):
        measure(images(10, 1), train[:10], train)


@pytest.mark.parametrize("down, right", [(1, 0), (0, -1), (-1, 1)])
def test_a_shifted_copy_is_a_copy(down: int, right: int) -> None:
    train, real = blobs(400, 0), blobs(300, 1)
    shifted = train[:200].roll((down, right), (2, 3))
    assert measure(shifted, real, train)[0] > 0.5  # without tolerance they look new
    value, record = measure(shifted, real, train, shift=1)
    assert (value, record["copies"], record["copies_real"]) == (0.0, 1.0, 0.0)
    assert "of the samples, and" in record["alarm"]
    fair, record = measure(blobs(300, 2), real, train, shift=1)
    assert fair == pytest.approx(1.0, abs=0.1)
    assert "alarm" not in record


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_copy_of_a_held_out_example_is_a_copy(share: float) -> None:
    """To the training examples it is as new as a test example."""
    train, held_out, fake = blobs(400, 0), blobs(300, 1), blobs(200, 2)
    copied = int(share * 200)
    fake[:copied] = held_out[:copied].roll(1, 3)
    metric = NearestNeighbourRatio()
    held = (closeness(rows, held_out, 1) for rows in (fake, train[:200]))
    metric.update(closeness(fake, train, 1), closeness(held_out, train, 1), train, *held)
    assert metric.compute() == pytest.approx(1.0, abs=0.15)
    record = metric.record()
    assert ("of a validation or test example" in record.get("alarm", "")) == (share > 0)
    assert record["held_out_close"] == pytest.approx(share, abs=0.05)


def test_distances_under_shifts_are_those_of_plain_loops() -> None:
    queries, train = images(6, 0, side=5), images(9, 1, side=5)
    padded = torch.nn.functional.pad(train.double(), (1, 1, 1, 1), value=torch.nan)
    best = torch.full((6,), torch.inf, dtype=torch.float64)
    for down in range(3):
        for right in range(3):
            moved = padded[:, :, down : down + 5, right : right + 5]
            square = (queries.double()[:, None] - moved[None]).square().flatten(2).nanmean(2) * 25
            best = torch.minimum(best, square.sqrt().min(1).values)
    found = closeness(queries, train, 1)
    assert found.nearest.tolist() == pytest.approx(best.tolist(), rel=1e-12)
    assert found.usual.tolist() == pytest.approx(
        (queries.double()[:, None] - train.double()).flatten(2).norm(dim=2).max(1).values.tolist()
    )


@pytest.mark.parametrize("num_train, num_real", [(1000, 360), (2000, 1000)])
def test_one_copy_in_ten_is_found_and_new_samples_are_not_accused(num_train: int, num_real: int) -> None:
    """Vectors: 10 honest models and 10 of which every tenth sample is a training example with a little noise."""
    generator = torch.Generator().manual_seed(0)

    def draw(n: int) -> Tensor:
        return torch.randn(n, 6, generator=generator)

    accused = found = 0
    for _ in range(10):
        train, fake = draw(num_train), draw(1000)
        real = closeness(draw(num_real), train, 0)
        for copied in (False, True):
            if copied:
                fake[:100] = train[:100] + 0.01 * draw(100)
            metric = NearestNeighbourRatio()
            metric.update(closeness(fake, train, 0), real, train)
            found += copied and "alarm" in metric.record()
            accused += not copied and "alarm" in metric.record()
    assert (accused, found) == (0, 10)


@pytest.mark.parametrize("change", ["shrunk", "spread", "collapsed"])
def test_bad_samples_are_no_copies(change: str) -> None:
    generator = torch.Generator().manual_seed(0)
    train, real, fake = (torch.randn(n, 6, generator=generator) for n in (1000, 500, 800))
    fake = {"shrunk": 0.5 * fake, "spread": 3.0 * fake, "collapsed": fake[:1].expand(800, -1)}[change]
    assert "alarm" not in measure(fake, real, train)[1]


def test_the_standard_error_is_that_of_repeated_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    train, values, errors = torch.randn(300, 4, generator=generator), [], []
    for _ in range(60):
        value, record = measure(*(torch.randn(n, 4, generator=generator) for n in (200, 150)), train)
        values.append(value)
        errors.append(record["standard_error"])
    assert 0.7 < torch.tensor(errors).square().mean().sqrt() / torch.tensor(values).std() < 1.4
