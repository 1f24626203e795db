"""Augmentation on data whose best accuracy is known, with a copier among the rows, from the command line on."""

import math
from dataclasses import dataclass

import pytest
import torch

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split
from genarena.models.baseline.memoriser import Memoriser
from genarena.models.gan.sngan import SNGAN
from genarena.spec import Batch, Condition, DataSpec
from genarena.tasks.augment import Augment, gaussian_of_classes
from genarena.tasks.augmenting.classifying import Budget, train
from genarena.tasks.augmenting.labels import Conditional, Pseudo

GAP = 3.0  # between the means of the two classes, in standard deviations: Bayes accuracy Phi(1.5) = 0.933
BAYES = 0.5 * (1.0 + math.erf(GAP / 2.0 / math.sqrt(2.0)))


@dataclass(eq=False, repr=False)
class Gaussians(ArenaDataModule):
    """Two classes of 8x8 images: white noise around two means, so that the best classifier is linear and its accuracy known."""

    name = "gaussians-of-two-classes"

    def load(self) -> tuple[Split, Split, Split]:
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(3300) % 2
        noise = torch.randn(3300, *self.spec.shape, generator=generator)
        way = torch.ones(self.spec.shape)
        way[:, 4:] = -1.0  # the upper half against the lower
        x = noise + (y - 0.5).view(-1, 1, 1, 1) * GAP * way / way.norm()
        levels = (x * 16.0 + 127.5).round().clamp(0, 255).to(torch.uint8)
        return tuple(Split(levels[part], y[part]) for part in (slice(0, 1200), slice(1200, 1300), slice(1300, 3300)))


@pytest.fixture(scope="module")
def data() -> Gaussians:
    made = Gaussians(DataSpec((1, 8, 8), 256, 2))
    made.setup()
    return made


@pytest.fixture(scope="module")
def outcome(data: Gaussians) -> object:
    model = Memoriser(data.spec)
    model.observe(Batch(data.train.x))
    task = Augment(label_fraction=[0.5], num_seeds=2, steps=60, batch_size=40)
    return task.solve(model, Pseudo(), data, "labels_0.5")


def test_a_copier_is_as_good_as_the_real_images_and_no_better(outcome: object) -> None:
    real, copier = (outcome.floors[name].metrics for name in ("real", "memoriser"))
    for name in ("cas", "nas"):
        assert copier[name]["value"] == pytest.approx(real[name]["value"], abs=0.03)
    assert copier["gan_test"]["value"] > real["cas"]["value"]  # it is tested on the images that trained the classifier
    assert copier["cas"]["synthetic"] == copier["cas"]["real"] == 600
    assert outcome.floors["heldout"].metrics["nas"]["value"] <= BAYES + 0.01


def test_class_gaussians_reach_the_best_accuracy_on_gaussian_data(data: Gaussians) -> None:
    """The best linear classifier of their samples, and the network with many of them."""
    y = torch.arange(6000) % 2
    made, test = gaussian_of_classes(data.spec, data.train, y, seed=0), data.test
    x, tried = made.x.flatten(1).double(), test.x.flatten(1).double()
    means = torch.stack([x[y == label].mean(0) for label in (0, 1)])
    way = torch.linalg.solve(torch.cov((x - means[y]).T), means[1] - means[0])
    right = ((tried - means.mean(0)) @ way > 0) == test.y.bool()
    assert right.double().mean().item() == pytest.approx(BAYES, abs=0.015)
    found = train(data.spec, [made], Budget(100, 64), seed=0).probabilities(test.x).argmax(1) == test.y
    assert found.double().mean().item() == pytest.approx(BAYES, abs=0.025)


def test_all_classifiers_take_equal_steps_and_the_record_says_what_the_model_saw(outcome: object) -> None:
    lines = outcome.lines | outcome.floors
    assert {each["steps"] for line in lines.values() for each in line.metrics.values() if "steps" in each} == {60}
    (part,) = outcome.lines
    assert part == "pseudo, model saw all 1,200 images"
    assert outcome.facts["model_saw"] == "1,200 training images, none with their labels"
    assert outcome.facts["labelled"] == 600 and outcome.facts["heldout_from"] == "train"
    record = outcome.lines[part].metrics["gan_test"]
    assert record["value"] is None and "classifier" in record["reason"]
    margin = outcome.lines[part].metrics["nas"]["margin"]
    gap = outcome.lines[part].metrics["nas"]["value"] - outcome.floors["real"].metrics["nas"]["value"]
    assert margin["over"] == "real" and margin["value"] == pytest.approx(gap, abs=1e-9)
    assert outcome.pictures["samples.png"].shape == (30, 1, 8, 8)


def test_wrong_options_are_refused(data: Gaussians) -> None:
    for share, said in (([0.0], "above 0"), ([1.5], "at most 1"), ([], "at least one"), ([0.1, 0.1], "different")):
        with pytest.raises(ValueError, match=said):
            Augment(label_fraction=share)
    with pytest.raises(ValueError, match="batch_size=1"):
        Augment(batch_size=1)
    with pytest.raises(ValueError, match="algorithm=conditional: the model was trained without data.condition=label"):
        Augment(algorithm=Conditional()).algorithm_for(Memoriser(data.spec))
    assert Augment().algorithm_for(Memoriser(data.spec)).name == "pseudo"
    captioned = DataSpec((1, 8, 8), 256, 2, condition=Condition("caption", 9, (4,)))
    model = SNGAN(captioned, generator_channels=4, discriminator_channels=4, latent_dim=4)
    with pytest.raises(
        ValueError, match="data.condition=caption without dropout of conditions: it draws nothing without"
    ):
        Augment().algorithm_for(model)
    model.conditioning.dropout = 0.1
    assert Augment().algorithm_for(model).name == "pseudo"
    with pytest.raises(ValueError, match="needs images with labels"):
        Augment().check(DataSpec((1, 8, 8), 17))
    assert Augment(label_fraction=[1, 0.1]).cases(data.spec) == ("labels_0.1", "labels_1")
