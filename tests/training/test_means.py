"""A line of a training log holds the means over the examples since the last line."""

import pytest
import torch

from genarena.ranks import exchange, world
from genarena.training.means import Means


def added(*batches: tuple[dict[str, float], int]) -> Means:
    means = Means()
    for values, weight in batches:
        means.add({name: torch.tensor(value) for name, value in values.items()}, weight)
    return means


def test_means_are_weighted_by_examples_and_start_anew() -> None:
    means = added(({"loss": 1.0, "kl": 5.0}, 8), ({"loss": 4.0}, 4))
    assert means.take() == {"loss": 2.0, "kl": 5.0}  # (8 + 16) / 12; kl of the batches that have it
    assert means.take() == {}


def test_a_value_that_is_not_finite_shows() -> None:
    means = added(({"loss": 1.0}, 8), ({"loss": float("nan")}, 8))
    assert means.take()["loss"] != means.take().get("loss")


def test_all_ranks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    other = added(({"loss": 7.0}, 4), ({"norm": 3.0}, 1))
    monkeypatch.setattr(exchange, "gathered", lambda state: [state, other._state()])
    assert added(({"loss": 1.0}, 8)).take() == {"loss": 3.0, "norm": 3.0}  # (8 + 28) / 12


@pytest.mark.parametrize("size", [2, 3])
def test_a_checkpoint_holds_what_was_seen_since_the_last_line(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On as many ranks as before each goes on from its own sums, and no example counts twice or not at all on others."""
    states = [added(({"loss": 1.0}, 8))._state(), added(({"loss": 4.0}, 4))._state()]
    monkeypatch.setattr(world, "size", lambda: size)
    parts = []
    for rank in range(size):
        monkeypatch.setattr(world, "rank", lambda rank=rank: rank)
        means = Means()
        means.load(states)
        means.add({"loss": torch.tensor(2.0)}, 2)
        parts.append(means._state())
    if size == 2:
        assert parts == [{"loss": (12.0, 10.0)}, {"loss": (20.0, 6.0)}]
    monkeypatch.setattr(exchange, "gathered", lambda state: parts)
    assert Means().take()["loss"] == pytest.approx((24.0 + 4.0 * size) / (12 + 2 * size))
