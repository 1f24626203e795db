"""Classifiers take the steps asked for, in equal shares of their sets; the changes of images are what they say."""

import pytest
import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.spec import DataSpec
from genarena.tasks.augmenting import classifying
from genarena.tasks.augmenting.classifying import Budget, train

SPEC = DataSpec((1, 8, 8), 17, 2)


def halves(num: int, seed: int = 0) -> Split:
    """Class 1 is brighter in its upper half."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 8, (num, *SPEC.shape), generator=generator, dtype=torch.uint8)
    y = torch.randint(2, (num,), generator=generator)
    x[y == 1, :, :4] += 5
    return Split(x, y)


def test_every_classifier_takes_the_same_steps_whatever_its_sets_are() -> None:
    seen: list[Tensor] = []

    def noted(unit: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        seen.append(target)
        return unit, target

    zeros, ones = (halves(60)[halves(60).y == label] for label in (0, 1))
    made = train(SPEC, [zeros, ones[:3]], Budget(7, 11), seed=0, change=noted)
    assert made.steps == len(seen) == 7
    assert {tuple(part.sum(0).tolist()) for part in seen} == {(6.0, 5.0)}  # half of each batch, however small a set is
    assert train(SPEC, [zeros], Budget(7, 11), seed=0).steps == 7


def test_a_classifier_learns_and_repeats_itself() -> None:
    state = torch.get_rng_state()
    one, two = (train(SPEC, [halves(200)], Budget(40, 32), seed=1) for _ in range(2))
    other = train(SPEC, [halves(200)], Budget(40, 32), seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    test = halves(300, seed=9)
    found = one.probabilities(test.x)
    assert torch.equal(found, two.probabilities(test.x)) and not torch.equal(found, other.probabilities(test.x))
    assert torch.allclose(found[:7], one.probabilities(test.x[:7]), atol=1e-6)
    assert (found.argmax(1) == test.y).float().mean() > 0.97
    wrong = train(SPEC, [Split(halves(200).x, 1 - halves(200).y)], Budget(40, 32), seed=1)
    assert (wrong.probabilities(test.x).argmax(1) == test.y).float().mean() < 0.03


def test_shifts_move_by_up_to_two_of_28_pixels() -> None:
    generator = torch.Generator().manual_seed(0)
    dot = torch.zeros(400, 1, 28, 28)
    dot[:, :, 10, 15] = 1.0
    moved = classifying.shift(dot, torch.ones(400, 2), generator)[0]
    rows, columns = moved.flatten(1).argmax(1) // 28 - 10, moved.flatten(1).argmax(1) % 28 - 15
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    small = classifying.shift(torch.rand(50, 1, 8, 8), torch.ones(50, 2), generator)[0]
    assert small.shape == (50, 1, 8, 8)


def test_flips_and_mixtures() -> None:
    generator = torch.Generator().manual_seed(0)
    x, target = torch.rand(2000, 1, 4, 4, generator=generator), torch.eye(2).repeat(1000, 1)
    flipped = classifying.flip(x, target, generator)[0]
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    assert ((flipped == x).flatten(1).all(1) | mirrored).all() and 0.46 < mirrored.float().mean() < 0.54
    mixed, shares = classifying.mixup(x, target, generator)
    assert torch.allclose(shares.sum(1), torch.ones(2000)) and mixed.shape == x.shape
    ramp = torch.arange(2000.0).view(-1, 1, 1, 1).expand(2000, 1, 4, 4)
    mixed, shares = classifying.mixup(ramp, target, torch.Generator().manual_seed(1))
    different = shares.amax(1) < 1.0  # pairs of two classes show their weight
    # Beta(0.2, 0.2) has variance 1 / (4 (2 alpha + 1)); the weight or its opposite is the larger share
    weight = shares[different, 0].double()
    assert weight.mean().item() == pytest.approx(0.5, abs=0.05)
    assert weight.var().item() == pytest.approx(1 / (4 * 1.4), rel=0.1)
    assert mixed.mean().item() == pytest.approx(ramp.mean().item(), rel=0.05)
