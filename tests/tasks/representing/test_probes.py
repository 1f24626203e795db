"""What perfect, useless and mixed codes score on the bench (the truth table of the task)."""

import math

import pytest
import torch
import torch.nn.functional as F

from genarena.spec import DataSpec
from genarena.tasks.representing.examples import Examples, Three
from genarena.tasks.representing.floors import OVER, Measure, compared
from genarena.tasks.representing.probes import TITLES, Bench

CLASSES, SIZES = 5, (1000, 300, 1500)


@pytest.fixture(scope="module")
def bench() -> Bench:
    y = Three(*(torch.arange(size) % CLASSES for size in SIZES))
    spec = DataSpec((1,), None, CLASSES)
    return Bench(Examples(Three(*(part[:, None].float() for part in y)), y, spec, 0), (1, 10))


def normal(width: int, seed: int = 0) -> Three:
    generator = torch.Generator().manual_seed(seed)
    return Three(*(torch.randn(size, width, generator=generator) for size in SIZES))


def clusters(bench: Bench, seed: int) -> Three:
    """The label, one-hot, with noise."""
    pairs = zip(bench.examples.y, normal(CLASSES, seed), strict=True)
    return Three(*(F.one_hot(y, CLASSES).float() + 0.5 * noise for y, noise in pairs))


def near_chance(value: float, num: int = SIZES[2]) -> bool:
    chance = 1.0 / CLASSES
    return abs(value - chance) < 3.0 * math.sqrt(chance * (1.0 - chance) / num)


def test_codes_that_are_the_label_are_right_in_every_probe(bench: Bench) -> None:
    measured = bench.measure(Three(*(F.one_hot(part, CLASSES).float() for part in bench.examples.y)))
    assert {name: right.double().mean().item() for name, right in measured.right.items()} == dict.fromkeys(TITLES, 1.0)
    assert measured.few == {1: [1.0] * 5, 10: [1.0] * 5}


def test_codes_of_noise_are_at_chance_in_every_probe(bench: Bench) -> None:
    measured = bench.measure(normal(8))
    assert all(near_chance(right.double().mean().item()) for right in measured.right.values())
    assert all(near_chance(sum(values) / 5) for values in measured.few.values())


def test_permuted_training_labels_are_at_chance_for_perfect_codes(bench: Bench) -> None:
    codes = clusters(bench, 0)
    assert bench.measure(codes).right["linear"].double().mean() > 0.7
    for record in bench.measure(codes).shuffled().values():
        spread = torch.tensor(record["of_each"]).std().item()  # whole clusters are right or wrong together
        assert abs(record["value"] - 1.0 / CLASSES) < 3.0 * spread / math.sqrt(5) + 0.01


def test_an_invertible_linear_map_changes_neighbours_but_not_those_of_whitened_codes(bench: Bench) -> None:
    codes = clusters(bench, 3)
    change = torch.randn(CLASSES, CLASSES, generator=torch.Generator().manual_seed(4)) @ torch.diag(
        torch.tensor([20.0, 1, 1, 1, 0.1])
    )
    plain, mapped = bench.measure(codes).right, bench.measure(Three(*(part @ change for part in codes))).right
    assert torch.equal(plain["knn_whitened"], mapped["knn_whitened"])
    assert (plain["knn"] != mapped["knn"]).double().mean() > 0.1


def test_a_code_is_compared_with_its_floors_example_by_example(bench: Bench) -> None:
    good = Measure.of(bench.measure(Three(*(F.one_hot(part, CLASSES).float() for part in bench.examples.y))))
    useless = Measure.of(bench.measure(normal(4)))
    floors = dict.fromkeys(OVER.values(), useless)
    assert compared(good, floors).remark == ""
    margin = compared(good, floors).metrics["knn"]["margin"]
    assert margin["over"] == "PCA-32" and margin["value"] == pytest.approx(1.0 - useless.records["knn"]["value"])
    assert compared(useless, floors).remark.startswith("adds nothing: neighbours 0.2")
    better = {"PCA-32": useless, "random ReLU 512": good}
    assert compared(good, better).remark == "not above a floor: linear probe 1.000 against 1.000 of random ReLU 512"


def test_few_labels_are_balanced_nested_and_the_same_for_all_codes(bench: Bench) -> None:
    examples = bench.examples
    one, ten = examples.few(1, 0), examples.few(10, 0)
    assert examples.y.train[ten].bincount().tolist() == [10] * CLASSES and set(one.tolist()) <= set(ten.tolist())
    assert torch.equal(ten, examples.few(10, 0)) and set(ten.tolist()) != set(examples.few(10, 1).tolist())
    assert Bench(examples, (1, 200, 201)).few == (1, 200)
