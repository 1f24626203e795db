"""What the classifiers of a data set can do on images that they were not trained on, and numbers that identify them."""

import math

import torch
from torch import Tensor

from genarena.data.batches import Split
from genarena.evaluation.classifier import DomainClassifiers

HELD_OUT = 10_000  # most examples on which they are measured
FEWEST = 10  # examples with and without an attribute; a rarer one is not measured
STANDARD_ERRORS = 2.0  # of the lower bound of an accuracy
PROBES = 200  # validation images whose distances identify the networks
QUANTILES = (0.1, 0.5, 0.9)  # of these distances


def accuracy(classifiers: DomainClassifiers, split: Split, labels: Tensor) -> float:
    """Share of right labels, or the mean balanced accuracy of the attributes; mean over the members.

    labels: those of the training split.
    """
    shares = [share for share, _ in _shares(classifiers, split[:HELD_OUT], labels)]
    return sum(shares) / len(shares) if shares else float("nan")


def skill(classifiers: DomainClassifiers, split: Split, labels: Tensor) -> float:
    """Share of the mistakes of a guess that the classifiers avoid: 0 for a guess, 1 for no mistake; NaN without examples.

    The guess is the most frequent class, or a coin for each attribute. The accuracy is the lower end of Wilson's interval of
    two standard errors, so that luck on few examples is no skill.
    """
    split = split[:HELD_OUT]
    bounds = [lower_bound(share, count) for share, count in _shares(classifiers, split, labels)]
    if not bounds:
        return float("nan")
    guess = torch.bincount(split.y).max().item() / split.size if split.y.ndim == 1 else 0.5
    return (sum(bounds) / len(bounds) - guess) / max(1.0 - guess, 1e-9)


def lower_bound(share: float, count: int, z: float = STANDARD_ERRORS) -> float:
    """Lower end of the interval of Wilson (1927) for a probability, from the share among `count` trials."""
    spread = z * math.sqrt(share * (1.0 - share) / count + z * z / (4.0 * count * count))
    return (share + z * z / (2.0 * count) - spread) / (1.0 + z * z / count)


def _shares(classifiers: DomainClassifiers, split: Split, labels: Tensor) -> list[tuple[float, int]]:
    """Share of right answers, mean over the members, and number of examples: of all labels; or for each attribute, of the
    examples with it and of those without it. A network answers yes above the share of the attribute in training."""
    if not split.size:
        return []
    logits = classifiers.logits(classifiers.features(split.x))  # (members, N, K)
    if split.y.ndim == 1:
        return [((logits.argmax(2) == split.y).double().mean().item(), split.size)]
    right = (logits > labels.double().mean(0).clamp(1e-6, 1 - 1e-6).logit()) == split.y.bool()
    shares = []
    for attribute, y in enumerate(split.y.T.bool()):
        if min(y.sum(), (~y).sum()) >= FEWEST:
            shares += [(right[:, part, attribute].double().mean().item(), int(part.sum())) for part in (y, ~y)]
    return shares


def probe(classifiers: DomainClassifiers, split: Split) -> list[float]:
    """Quantiles of the distances between validation images in the features of each member, and the spread of its logits."""
    features = classifiers.features(split.x[:PROBES])
    numbers = []
    for block, logits in zip(classifiers.blocks(features), classifiers.logits(features), strict=True):
        distances = torch.pdist(block.double())
        numbers += (
            torch.quantile(distances, torch.tensor(QUANTILES, dtype=torch.float64)).tolist() if len(distances) else []
        )
        numbers.append(logits.double().std(correction=0).item())
    return [float(f"{number:.6g}") for number in numbers]
