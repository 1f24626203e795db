"""Guidance of attributes in a world where all is known: two bright columns, and a model that heeds what it is asked for."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.spec import DataSpec
from genarena.tasks.base import Outcome
from genarena.tasks.guidance import Guidance
from genarena.tasks.guiding.floors import most_alike
from genarena.tasks.guiding.scores import Reference
from genarena.tasks.guiding.strengths import ClassifierFree
from tests.tasks.obedient import Guided

SPEC = DataSpec((1, 8, 8), 256, num_attributes=3, condition="attributes")
SHARES = torch.tensor([0.5, 0.2, 0.001])  # the third is too rare to count
APART = 3.0  # how much brighter an attribute makes its column, in standard deviations of what is seen
BAYES = 0.5 * (1.0 + math.erf(APART / 2.0 / math.sqrt(2.0)))


def attributes(num: int, seed: int) -> Tensor:
    return (torch.rand(num, 3, generator=torch.Generator().manual_seed(seed)) < SHARES).long()


def images(y: Tensor, seed: int) -> Tensor:
    """Noise, with a brighter column for each attribute."""
    x = torch.randn(len(y), 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    x[..., :3] += APART / 8**0.5 * y[:, None, None]
    return (x * 16.0 + 110.0).round().clamp(0, 255).to(torch.uint8)


class Seen:
    """In place of the domain classifiers: sums of columns, and the probability that is the training share at the best
    threshold."""

    spec = SPEC
    members = (None,)
    facts = {"name": "columns"}

    def features(self, x: Tensor) -> Tensor:
        return ((x.float() - 110.0) / 16.0).sum(2).squeeze(1)[:, :3] / 8**0.5

    def blocks(self, features: Tensor) -> list[Tensor]:
        return [features]

    def logits(self, features: Tensor) -> Tensor:
        return (features - APART / 2.0 + SHARES.logit())[None]


@dataclass(eq=False, repr=False)
class World(ArenaDataModule):
    name = "columns-with-attributes"

    def load(self) -> tuple[Split, Split, Split]:
        sizes = enumerate((4000, 600, 4000))
        return tuple(Split(images(y := attributes(size, seed), 10 + seed), y) for seed, size in sizes)


class Obedient(Guided):
    """s = 0: attributes do not matter; s = 1: images of p(x | y)."""

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        s, seed = self.sampler.guidance, int(torch.randint(10**6, ()))
        return images(attributes(num_samples, seed + 1) if s == 0.0 else y, seed)


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    data = World(SPEC)
    data.setup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.tasks.guidance.classifiers_of", lambda data: Seen())
        task = Guidance(strengths=[0, 1], num_samples=2000)
        task.check(SPEC)
        return task.solve(Obedient(SPEC).eval(), ClassifierFree(), data, "")


def test_accuracies_are_those_of_the_world(outcome: Outcome) -> None:
    lines = outcome.lines | outcome.floors
    assert list(outcome.floors) == ["real", "memoriser", "shuffled attributes"]
    for name, expected in {
        "s=0": 0.5,
        "s=1": BAYES,
        "real": BAYES,
        "memoriser": BAYES,
        "shuffled attributes": 0.5,
    }.items():
        record = lines[name].metrics["class_accuracy"]
        assert (record["title"], record["attributes"], record["n"]) == ("attribute accuracy", 2, 2000)
        error = record["standard_error"]
        assert abs(record["value"] - expected) < 3.0 * error and error < 0.02
    assert outcome.floors["shuffled attributes"].metrics["class_accuracy"]["chance"] == 0.5


def test_the_joint_distance_sees_attributes_that_are_ignored(outcome: Outcome) -> None:
    found = {name: line.metrics["fd_joint"]["value"] for name, line in (outcome.lines | outcome.floors).items()}
    assert max(found[name] for name in ("s=1", "real", "memoriser")) < 0.05
    assert min(found[name] for name in ("s=0", "shuffled attributes")) > 0.2
    assert outcome.facts["best_on_validation"] == 1.0


def test_a_vector_of_attributes_is_as_long_as_the_features() -> None:
    y = attributes(500, 1)
    reference = Reference(Seen(), Split(images(y, 2), y), SHARES)
    rows = torch.randn(7, 3)
    joint = reference.with_labels(rows, 1 - y[:7])
    length = Seen().features(images(y, 2)).norm(dim=1).mean()
    assert torch.equal(joint[:, :3], rows)
    torch.testing.assert_close(joint[:, 3:], length / 3**0.5 * (1.0 - 2.0 * y[:7]))
    torch.testing.assert_close(joint[:, 3:].norm(dim=1), length.expand(7))


def test_a_memoriser_has_the_image_that_agrees_most() -> None:
    known = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]])
    asked = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]] * 30)
    found = most_alike(known, asked, 0)
    assert set(found[::4].tolist()) == {1, 3} and found[1:4].tolist() == [0, 2, 0]
    assert torch.equal(found, most_alike(known, asked, 0))


def test_a_row_of_samples_for_the_attributes_of_each_image(outcome: Outcome) -> None:
    rows = outcome.shown["samples_s1.png"].rows
    assert outcome.pictures["samples_s1.png"].shape == (80, 1, 8, 8) and len(rows) == 8
    assert set(rows) <= {"none", "attribute 0", "attribute 1", "attribute 0, attribute 1"} and len(set(rows)) > 1
    seen = Seen().features(outcome.pictures["samples_s1.png"]).view(8, 10, 3).mean(1)
    for title, features in zip(rows, seen, strict=True):
        assert [f"attribute {place}" in title for place in range(2)] == (features[:2] > APART / 2.0).tolist()
    assert outcome.shown["guidance.png"].text == "attribute accuracy against recall"
