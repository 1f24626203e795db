"""Authenticity on points whose answer is known by eye, and against plain loops."""

import pytest
import torch
from scipy.spatial.distance import cdist

from genarena.metrics.authpct import AuthPct
from genarena.statistics.copying import authentic, spacing


def line(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def measure(train: torch.Tensor, real: torch.Tensor, fake: torch.Tensor) -> tuple[float, dict]:
    metric = AuthPct()
    metric.update(authentic(fake, train), authentic(real, train), train)
    return metric.compute(), metric.record()


def test_known_by_eye() -> None:
    """Training points 0, 1, 10: the nearest other of each is 1, 1 and 9 away."""
    points = line(0.5, 2.5, 10.0, 15.0, -1.0, 20.0)
    assert authentic(points, line(0.0, 1.0, 10.0)).tolist() == [False, True, False, False, False, True]


def test_equals_plain_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    train, fake = torch.randn(80, 5, generator=generator), torch.randn(50, 5, generator=generator)
    between, among = cdist(fake, train), cdist(train, train)
    among[range(80), range(80)] = float("inf")
    expected = [between[row].min() > among[between[row].argmin()].min() for row in range(50)]
    assert authentic(fake, train).tolist() == expected
    assert authentic(fake, train, spacing(train)).tolist() == expected
    assert 0.2 < sum(expected) / 50 < 0.9


def test_a_memoriser_scores_zero_and_fresh_draws_what_test_examples_score() -> None:
    generator = torch.Generator().manual_seed(0)
    train, real, fresh = (torch.randn(n, 4, generator=generator) for n in (500, 400, 400))
    copies = train[:200] + 1e-4 * torch.randn(200, 4, generator=generator)
    assert measure(train, real, copies)[0] < 2.0
    value, record = measure(train, real, fresh)
    assert value == pytest.approx(record["real"], abs=8.0)
    assert (record["n"], record["n_real"], record["n_train"]) == (400, 400, 500)
    assert measure(train, real, fresh + 10.0)[0] == 100.0


def test_exact_copies_of_training_examples_that_occur_twice() -> None:
    train = line(0.0, 0.0, 5.0, 7.0)
    for spaces in (None, spacing(train)):
        assert authentic(line(0.0, 0.1, 7.0), train, spaces).tolist() == [False, True, False]


def test_order_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(0)
    train, real, fake = (torch.randn(n, 3, generator=generator) for n in (90, 40, 60))
    assert measure(train.flip(0), real.flip(0), fake.flip(0)) == measure(train, real, fake)


def test_the_standard_error_and_the_alarm() -> None:
    generator = torch.Generator().manual_seed(0)
    train, real, fresh = (torch.randn(n, 4, generator=generator) for n in (500, 400, 400))
    copies = train[:400] + 1e-4 * torch.randn(400, 4, generator=generator)
    assert "alarm" not in measure(train, real, fresh)[1]
    assert "alarm" not in measure(train, real, 0.5 * fresh)[1]  # samples from the middle only are no copies
    alarm = measure(train, real, copies)[1]["alarm"]
    assert (
        "of the test examples, are further from the training examples than these from each other (p < 1e-06)" in alarm
    )
    values = [measure(train, real, torch.randn(400, 4, generator=generator))[0] for _ in range(60)]
    stated = measure(train, real, fresh)[1]["standard_error"]
    assert 0.75 < stated / torch.tensor(values).std().item() < 1.35
