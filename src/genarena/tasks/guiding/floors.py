"""What needs no model of labelled images: real ones, the same with labels of others, copies, and Gaussians of labels."""

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import Split, seeded_generator
from genarena.evaluation.classifier import DomainClassifiers
from genarena.tasks.augmenting.floors import copies, gaussian_of_classes
from genarena.tasks.base import Line
from genarena.tasks.guiding.scores import Reference, chance

ROWS = 64  # images asked for at once


def floors_of(
    data: ArenaDataModule, classifiers: DomainClassifiers, reference: Reference, real: Split, seed: int
) -> dict[str, Line]:
    """Real test images, which a perfect model would draw; the same with their labels shuffled; training images of the labels
    asked for; and draws of a Gaussian per class. Of attributes: no Gaussian, and the training images most alike in them."""
    order = torch.randperm(real.size, generator=seeded_generator(seed, real.size, "shuffled"))
    shuffled = reference.scores(real.x, real.y[order])
    found = {"real": Line(reference.scores(real.x, real.y), is_real=True)}
    if reference.shares is not None:
        nearest = data.train.x[most_alike(data.train.y, real.y, seed)]
        shuffled["class_accuracy"] = {**shuffled["class_accuracy"], "chance": 0.5}
        memoriser = Line(
            reference.scores(nearest, real.y),
            remark="training images that agree in the most attributes with those asked for",
        )
        return found | {"memoriser": memoriser, "shuffled attributes": Line(shuffled)}
    expected = chance(real.y, classifiers.classes(classifiers.features(real.x)), data.spec.num_classes)
    shuffled["class_accuracy"] |= {"chance": expected}
    train = Split(data.train.x[:], data.train.y)
    return found | {
        "memoriser": Line(reference.scores(copies(train, real.y, seed).x, real.y)),
        "class Gaussian": Line(reference.scores(gaussian_of_classes(data.spec, train, real.y, seed).x, real.y)),
        "shuffled labels": Line(shuffled),
    }


def most_alike(known: Tensor, asked: Tensor, seed: int) -> Tensor:
    """(N,) rows of attributes `known` (M, K) that agree in the most places with each of `asked` (N, K), 0 or 1; where several
    do, one of them, drawn for each row of `asked` with a fixed seed."""
    generator, signs, found = seeded_generator(seed, "most alike"), 2.0 * known.float() - 1.0, []
    for part in asked.split(ROWS):
        agreement = signs @ (2.0 * part.float() - 1.0).T  # (M, rows): whole numbers
        found.append((agreement + 0.5 * torch.rand(agreement.shape, generator=generator)).argmax(0))
    return torch.cat(found)
