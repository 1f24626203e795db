"""Classifiers that differ by rounding are one network, those of another seed are not."""

import pytest

from genarena.leaderboard.same_network import same_network

OURS = {"name": "domain-classifiers-1", "weights": "aa", "probe": [7.0, 11.0, 13.0]}


@pytest.mark.parametrize(
    "changes, same",
    [
        ({}, True),
        ({"weights": "bb"}, True),
        ({"weights": "bb", "probe": [7.002, 11.0, 13.0]}, True),
        ({"weights": "bb", "probe": [7.02, 11.0, 13.0]}, False),
        ({"weights": "bb", "probe": [7.0, 11.0]}, False),
        ({"weights": "bb", "probe": []}, False),
        ({"weights": "bb", "probe": None}, False),
        ({"name": "domain-classifiers-2"}, False),
    ],
)
def test_same_network(changes: dict, same: bool) -> None:
    other = OURS | changes
    assert same_network(OURS, other) == same_network(other, OURS) == same


def test_files_of_weights_are_compared_by_their_hash() -> None:
    ours = {"name": "inception-v3-compat", "weights": "aa"}
    assert same_network(ours, dict(ours))
    assert not same_network(ours, ours | {"weights": "bb"})
    assert same_network(None, None) and not same_network(ours, None)
