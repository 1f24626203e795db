"""Guidance in a world where all is known: images of two classes, and a model that heeds its label as much as it is guided."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.spec import Condition, DataSpec
from genarena.tasks.base import Outcome
from genarena.tasks.guidance import Guidance, chosen_on_validation
from genarena.tasks.guiding import scores
from genarena.tasks.guiding.scores import Halves, Reference, chance
from genarena.tasks.guiding.strengths import ClassifierFree, Drawn, Unguided
from tests.tasks.obedient import Guided

SPEC = DataSpec((1, 8, 8), 256, 2, condition="label")
APART = 3.0  # distance of the classes along the direction that the features see, in standard deviations
SHARE = 0.3  # of label 1
BAYES = 0.5 * (1.0 + math.erf(APART / 2.0 / math.sqrt(2.0)))


def images(y: Tensor, seed: int) -> Tensor:
    """Noise, whose first two columns are brighter in class 1."""
    x = torch.randn(len(y), 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    x[:, :, :, 0] += APART / 8**0.5 * y.view(-1, 1, 1)
    return (x * 16.0 + 110.0).round().clamp(0, 255).to(torch.uint8)


def labels(num: int, seed: int) -> Tensor:
    return (torch.rand(num, generator=torch.Generator().manual_seed(seed)) < SHARE).long()


class Seen:
    """In place of the domain classifiers: the sums of two columns, standard normal in class 0, and the best threshold."""

    spec = SPEC
    members = (None,)
    facts = {"name": "columns"}

    def features(self, x: Tensor) -> Tensor:
        return ((x.float() - 110.0) / 16.0).sum(2).squeeze(1)[:, :2] / 8**0.5

    def blocks(self, features: Tensor) -> list[Tensor]:
        return [features]

    def classes(self, features: Tensor) -> Tensor:
        return (features[:, 0] > APART / 2.0).long()


@dataclass(eq=False, repr=False)
class World(ArenaDataModule):
    name = "two-classes-of-columns"

    def load(self) -> tuple[Split, Split, Split]:
        sizes = enumerate((2000, 600, 4000))
        return tuple(Split(images(y := labels(size, seed), 10 + seed), y) for seed, size in sizes)


class Obedient(Guided):
    """s = 0: labels do not matter; s = 1: images of p(x | y); s = 4: all images of a label are the same."""

    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        s, seed = self.sampler.guidance, int(torch.randint(10**6, ()))
        x = images(labels(num_samples, seed + 1) if s == 0.0 else y, seed)
        return x if s < 4.0 else images(torch.tensor([0, 1]), 0)[y]


@pytest.fixture(scope="module")
def data() -> World:
    made = World(SPEC)
    made.setup()
    return made


@pytest.fixture(scope="module")
def outcome(data: World) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("genarena.tasks.guidance.classifiers_of", lambda data: Seen())
        return Guidance(strengths=[4, 0, 1], num_samples=900).solve(Obedient(SPEC).eval(), ClassifierFree(), data, "")


def value(outcome: Outcome, name: str, line: str) -> float:
    return (outcome.lines | outcome.floors)[line].metrics[name]["value"]


def within(found: float, expected: float, num: int) -> bool:
    """3 standard deviations of a share."""
    return abs(found - expected) < 3 * (expected * (1 - expected) / num) ** 0.5


def test_accuracies_are_those_of_the_world(outcome: Outcome, data: World) -> None:
    accuracy = {line: value(outcome, "class_accuracy", line) for line in outcome.lines | outcome.floors}
    seen = SHARE * BAYES + (1 - SHARE) * (1 - BAYES)  # of class 1 in the predictions
    ignored = SHARE * seen + (1 - SHARE) * (1 - seen)
    assert within(accuracy["s=1"], BAYES, 900) and within(accuracy["s=0"], ignored, 900)
    assert within(accuracy["class Gaussian"], BAYES, 900)
    real = Halves.of(data, 900, 0).others
    assert accuracy["real"] == pytest.approx((Seen().classes(Seen().features(real.x)) == real.y).double().mean().item())
    record = outcome.floors["shuffled labels"].metrics["class_accuracy"]
    assert record["chance"] == pytest.approx(ignored, abs=0.03) and within(record["value"], record["chance"], 900)


def test_the_memoriser_has_the_accuracy_of_training_images(outcome: Outcome, data: World) -> None:
    asked, seen = Halves.of(data, 900, 0).others.y, Seen()
    right = seen.classes(seen.features(data.train.x)) == data.train.y
    expected = sum((asked == label).double().mean() * right[data.train.y == label].double().mean() for label in (0, 1))
    assert within(value(outcome, "class_accuracy", "memoriser"), expected.item(), 900)


def test_one_number_sees_what_accuracy_and_a_distance_without_labels_do_not(outcome: Outcome) -> None:
    found = {name: [value(outcome, name, f"s={s}") for s in (0, 1, 4)] for name in ("fd_joint", "fd_domain", "recall")}
    ignored, right, collapsed = found["fd_joint"]
    assert right < 0.05 < ignored and right < collapsed
    assert found["fd_domain"][0] < 0.05 < found["fd_domain"][2]
    assert found["recall"][1] > 0.8 > 0.05 > found["recall"][2]
    assert outcome.facts["best_on_validation"] == 1.0 and outcome.lines["s=1"].remark.startswith("best on validation")
    assert value(outcome, "fd_joint", "real") < 0.05 < value(outcome, "fd_joint", "shuffled labels")


def test_fd_joint_is_the_distance_of_the_joint_gaussians() -> None:
    """Against moments from numpy and a matrix square root from scipy."""
    y, rows = labels(900, 3), torch.randn(900, 2, generator=torch.Generator().manual_seed(4))
    other, real = torch.randn(700, 2, generator=torch.Generator().manual_seed(5)) + 0.3, Split(images(y, 6), y)
    reference = Reference(Seen(), real)
    scale = Seen().features(real.x).norm(dim=1).mean()
    parts = [(Seen().features(real.x), y), (other, labels(700, 8))]
    joint = [torch.cat([x, scale * torch.eye(2)[label]], 1).double().numpy() for x, label in parts]
    (m1, s1), (m2, s2) = ((rows.mean(0), np.cov(rows.T) + 1e-12 * np.eye(4)) for rows in joint)
    expected = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2.0 * sqrtm(s1 @ s2).real)
    assert len(rows) and reference.fd_joint(other, labels(700, 8))["value"] == pytest.approx(expected, abs=1e-4)


def test_halves_share_no_image_and_the_reference_does_not_depend_on_the_number(data: World) -> None:
    few, many = Halves.of(data, 100, 0), Halves.of(data, 9000, 0)
    assert torch.equal(few.reference.x, many.reference.x) and torch.equal(few.others.x, many.others.x[:100])
    assert (many.reference.size, many.others.size) == (2000, 2000)
    rows = {x.numpy().tobytes() for x in many.reference.x}
    assert not rows & {x.numpy().tobytes() for x in many.others.x}


def test_samples_that_are_not_finite_have_no_scores_and_are_not_chosen(data: World) -> None:
    drawn = {s: Drawn(images(labels(400, 1), 1), failures, 1) for s, failures in ((0.0, 0), (1.0, 1))}
    best, found = chosen_on_validation(Reference(Seen(), data.val[:]), drawn, labels(400, 1))
    assert best == 0.0 and list(found) == [0.0]
    records = scores.not_scored("1 of 400 samples are not finite")
    assert all(each["value"] is None and each["reason"].startswith("1 of 400") for each in records.values())


def test_chance_of_two_histograms() -> None:
    assert chance(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1, 1]), 3) == pytest.approx(0.75 * 0.25 + 0.25 * 0.75)


def test_pictures_and_lines(outcome: Outcome) -> None:
    assert list(outcome.lines) == ["s=0", "s=1", "s=4"]
    assert list(outcome.pictures) == ["guidance.png", "samples_s0.png", "samples_s1.png"]
    assert outcome.pictures["samples_s1.png"].shape == (20, 1, 8, 8) and outcome.shown["guidance.png"].is_plot
    assert outcome.shown["samples_s1.png"].rows == ["label 0", "label 1"]
    seen = Seen()
    rows = seen.features(outcome.pictures["samples_s1.png"])
    assert (seen.classes(rows)[:10] == 0).sum() > 6 and (seen.classes(rows)[10:] == 1).sum() > 6


def test_a_model_without_guidance_has_one_line(data: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genarena.tasks.guidance.classifiers_of", lambda data: Seen())
    found = Guidance(num_samples=40).solve(Obedient(SPEC).eval(), Unguided(), data, "")
    assert list(found.lines) == ["s=1"] and not found.lines["s=1"].remark


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"data.condition=label.*without a condition"):
        Guidance().check(replace(SPEC, condition=None))
    with pytest.raises(ValueError, match="with data.condition=caption"):
        Guidance().check(replace(SPEC, condition=Condition("caption", 5, (3,))))
    with pytest.raises(ValueError, match="one label, data.only=3"):
        Guidance().examine({"only": 3})
    for strengths in ([], [1.0, 1.0]):
        with pytest.raises(ValueError, match="strengths"):
            Guidance(strengths=strengths)
    with pytest.raises(ValueError, match="strengths"):
        Guidance(strengths=[-1.0])
