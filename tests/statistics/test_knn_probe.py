"""Votes of neighbours, counted by hand."""

import math

import torch

from genarena.statistics.knn_probe import by_cosine, by_majority


def test_the_commonest_label_wins_and_of_equals_the_nearest() -> None:
    bank = torch.tensor([[0.0], [1.0], [2.0], [3.0], [10.0]])
    labels = torch.tensor([2, 1, 1, 0, 0])
    z = torch.tensor([[0.1], [9.0], [2.9]])
    assert by_majority(bank, labels, z, k=3).tolist() == [1, 0, 1]
    assert by_majority(bank, labels, z, k=2).tolist() == [2, 0, 0]  # one vote each: the nearest decides
    assert by_majority(bank, labels, z, k=99).tolist() == [1, 0, 0]  # all vote: labels 0 and 1 twice each


def test_cosines_weigh_by_their_exponential() -> None:
    angles = torch.tensor([0.0, 0.5, 0.5, 2.0])
    bank = (
        torch.stack([angles.cos(), angles.sin()], 1) * torch.tensor([5.0, 0.1, 3.0, 1.0])[:, None]
    )  # lengths do not count
    labels, z = torch.tensor([0, 1, 1, 1]), torch.tensor([[2.0, 0.0]])
    one, two = math.exp(1.0 / 0.1), 2.0 * math.exp(math.cos(0.5) / 0.1)
    assert by_cosine(bank, labels, z, k=4, temperature=0.1).tolist() == [0 if one > two else 1] == [0]
    assert by_cosine(bank, labels, z, k=4, temperature=0.5).tolist() == [1]  # 7.39 against 2 x 5.78
    assert by_cosine(bank, labels, z, k=1).tolist() == [0]


def test_rows_do_not_depend_on_each_other_or_on_the_order_of_the_bank() -> None:
    generator = torch.Generator().manual_seed(0)
    bank, z = torch.randn(700, 5, generator=generator), torch.randn(600, 5, generator=generator)
    labels, order = torch.randint(4, (700,), generator=generator), torch.randperm(700, generator=generator)
    for probe in (by_majority, by_cosine):
        found = probe(bank, labels, z)
        assert torch.equal(probe(bank[order], labels[order], z), found)
        assert torch.equal(torch.cat([probe(bank, labels, part) for part in z.split(7)]), found)
