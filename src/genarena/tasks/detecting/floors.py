"""Scores without a trained model, fitted on training examples. Each is a row of every table."""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule
from genarena.data.batches import seeded_generator
from genarena.models.baseline.gaussian import LARGEST_FULL, Gaussian
from genarena.spec import Batch, DataSpec
from genarena.tasks.detecting import codecs
from genarena.tasks.detecting.likelihood import LN_2
from genarena.tasks.detecting.sets import Examples, drawn

COMPONENTS = 64  # of the principal components whose residual is a score
NEIGHBOURS = 5
MOST_TRAIN = 20_000  # training examples among which neighbours are searched, and that trees see
CHUNK = 1_000
LESS = [f"{kind} gaussian - {codec}" for kind in ("full", "diagonal") for codec in codecs.CODECS]  # both in bits
RIDGE = 5e-4  # added to the variances of the diagonal Gaussian, of [0, 1]: pixels may be constant


class Floors:
    """Fitted once for the data of a run. `scores` has those that fit the data."""

    def __init__(self, data: ArenaDataModule) -> None:
        self.spec = data.spec
        self.train = drawn(data.train, 0, data.train.size, data.spec, "train")
        self.val = drawn(data.val, 0, data.val.size, data.spec, "val")
        self.known: dict[tuple[str, str], Tensor] = {}

    @property
    def scores(self) -> dict[str, Callable[[Examples], Tensor]]:
        """Name to score, higher for what is more anomalous."""
        found: dict[str, Callable[[Examples], Tensor]] = {}
        if self.spec.num_dims <= LARGEST_FULL:
            found |= {"full gaussian": self.nll("full"), "full gaussian, typicality": self.typicality}
        found |= {"diagonal gaussian": self.nll("diagonal"), "pca residual": self.residual, "knn": self.distance}
        found |= {
            "pca mahalanobis": self.mahalanobis,
            "isolation forest": self.isolation,
            "uniform random": self.random,
        }
        if self.spec.is_image:
            found |= {"mean pixel": mean_pixel, "total variation": total_variation}
        if codecs.can_be_written(self.spec):
            found |= {"png length": self.length("png"), "png length, negative": self.length("png", -1.0)}
            found |= {
                f"{kind} gaussian - {codec}": self.less(kind, codec)
                for kind in ("full", "diagonal")
                for codec in codecs.CODECS
            }
        return found

    def score(self, name: str, examples: Examples) -> Tensor:
        """(N,) float64."""
        return self._once(name, self.scores[name], examples)

    def _once(self, name: str, of: Callable[[Examples], Tensor], examples: Examples) -> Tensor:
        """Computed once per set; a set without a name is computed each time."""
        key = (name, examples.name)
        if not examples.name or len(self.known.get(key, ())) < len(examples):
            self.known[key] = of(examples).double()
        return self.known[key][: len(examples)]

    # -- Gaussians ------------------------------------------------------------------------------------------------------

    @cached_property
    def _full(self) -> Gaussian:
        model = Gaussian(self.spec)
        for part in self.train.x.split(10 * CHUNK):
            model.observe(Batch(part))
        return model.eval()

    @cached_property
    def _diagonal(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (D,) of the training examples, the variance with `RIDGE`."""
        x = self.train.unit
        return x.mean(0), x.var(0) + (RIDGE if self.spec.is_discrete else RIDGE * x.var(0).mean())

    def nll(self, covariance: str) -> Callable[[Examples], Tensor]:
        """-log p(x) (N,) nats of the Gaussian with the moments of the training examples; full: the bound of `Gaussian`."""

        @torch.no_grad()
        def full(examples: Examples) -> Tensor:
            return -torch.cat([self._full.log_prob(part) for part in examples.x.split(CHUNK)]).double()

        def diagonal(examples: Examples) -> Tensor:
            mean, variance = self._diagonal
            scale = math.log(self.spec.num_levels - 1) if self.spec.is_discrete else 0.0
            nats = (examples.unit - mean).square() / variance + variance.log() + math.log(2.0 * math.pi)
            return (0.5 * nats + scale).sum(1)

        return full if covariance == "full" else diagonal

    def typicality(self, examples: Examples) -> Tensor:
        of = self.nll("full")
        return (of(examples) - of(self.val).mean()).abs()

    def length(self, codec: str, sign: float = 1.0) -> Callable[[Examples], Tensor]:
        """Bits of the file, or their negative."""
        return lambda examples: sign * self._bits(codec, examples)

    def less(self, covariance: str, codec: str) -> Callable[[Examples], Tensor]:
        """Bits of the Gaussian less bits of the file."""
        return lambda examples: self.nll(covariance)(examples) / LN_2 - self._bits(codec, examples)

    def _bits(self, codec: str, examples: Examples) -> Tensor:
        return self._once(codec, lambda some: codecs.bits(some.x, codec), examples)

    # -- distances ------------------------------------------------------------------------------------------------------

    @cached_property
    def _components(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and principal components (D, K) of the training examples."""
        x = self.train.unit
        values = torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], -1)).eigenvectors
        return x.mean(0), values[:, -min(COMPONENTS, max(1, x.shape[1] // 2)) :]

    def residual(self, examples: Examples) -> Tensor:
        """Squared distance from the subspace of the principal components."""
        mean, components = self._components
        centred = examples.unit - mean
        return centred.square().sum(1) - (centred @ components).square().sum(1)

    def _projected(self, examples: Examples) -> Tensor:
        mean, components = self._components
        return (examples.unit - mean) @ components

    def mahalanobis(self, examples: Examples) -> Tensor:
        """Squared distance from the mean within the subspace of the principal components, in units of their variances."""
        return (self._projected(examples).square() / self._projected(self.train).var(0)).sum(1)

    def distance(self, examples: Examples) -> Tensor:
        """Mean distance to the nearest training examples."""
        some = self.train.unit[:MOST_TRAIN].float()
        parts = [
            torch.cdist(part, some).topk(NEIGHBOURS, largest=False).values.mean(1)
            for part in examples.unit.float().split(CHUNK)
        ]
        return torch.cat(parts)

    @cached_property
    def _forest(self) -> object:
        from sklearn.ensemble import IsolationForest

        return IsolationForest(random_state=0).fit(self._split(self.train)[:MOST_TRAIN].numpy())

    def isolation(self, examples: Examples) -> Tensor:
        """Isolation forest (Liu, Ting & Zhou 2008); scikit-learn's, 100 trees of 256 examples."""
        return -torch.from_numpy(self._forest.score_samples(self._split(examples).numpy()))

    def _split(self, examples: Examples) -> Tensor:
        """What trees split: the columns of a table, as in the paper; of images, and of long rows, principal components."""
        return examples.unit if splits_columns(self.spec) else self._projected(examples)

    def random(self, examples: Examples) -> Tensor:
        """Uniform numbers: what no information gives."""
        generators = [seeded_generator(0, "random", content) for content in examples.contents]
        return torch.cat([torch.rand(1, generator=each, dtype=torch.float64) for each in generators])


def splits_columns(spec: DataSpec) -> bool:
    return not spec.is_image and spec.num_dims <= COMPONENTS


def mean_pixel(examples: Examples) -> Tensor:
    return examples.unit.mean(1)


def total_variation(examples: Examples) -> Tensor:
    """Mean of |differences| of neighbours, down and across."""
    x = examples.unit.unflatten(1, examples.spec.shape)
    return sum(x.diff(dim=dim).abs().flatten(1).sum(1) for dim in (-1, -2)) / x[0].numel()


PAPERS = {"full gaussian, typicality": "1906.02994", "isolation forest": "10.1109/ICDM.2008.17"}
PAPERS |= dict.fromkeys(LESS, "1909.11480")
