"""Labelled fractions are stratified, nested and repeatable; the other real examples are none of them."""

import itertools

import torch

from genarena.data.batches import Split
from genarena.tasks.augmenting.fractions import labelled


def test_fractions_are_stratified_and_nested() -> None:
    y = torch.arange(400) % 4
    y[:100] = 0  # 175 of class 0, 75 of each other class
    x = torch.arange(400)[:, None]
    train, val = Split(x, y), Split(torch.arange(1000, 1040)[:, None], torch.arange(40) % 4)
    parts = {share: labelled(train, val, share, seed=3) for share in (0.001, 0.04, 0.2, 1.0)}
    counts = {share: torch.bincount(part.real.y).tolist() for share, part in parts.items()}
    assert counts[0.001] == [1, 1, 1, 1]  # at least one of each
    assert counts[0.04] == [7, 3, 3, 3] and counts[0.2] == [35, 15, 15, 15] and counts[1.0] == [175, 75, 75, 75]
    members = [set(part.real.x.flatten().tolist()) for part in parts.values()]
    assert all(small < large for small, large in itertools.pairwise(members))
    for share, part in parts.items():
        others = set(part.others.x.flatten().tolist())
        assert not others & set(part.real.x.flatten().tolist())
        assert part.others_from == ("val" if share == 1.0 else "train")
        assert len(others) == (40 if share == 1.0 else part.real.size)
        assert torch.equal(part.real.y, y[part.real.x.flatten()])
    again, other = labelled(train, val, 0.2, seed=3), labelled(train, val, 0.2, seed=4)
    assert torch.equal(again.real.x, parts[0.2].real.x) and not torch.equal(other.real.x, again.real.x)
