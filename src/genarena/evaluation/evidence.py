"""Evidence: everything about a model and a data set that a metric may ask for, each piece made once, when asked for."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from genarena.data.base import ArenaDataModule, Split
from genarena.evaluation import features
from genarena.evaluation.backbones import BACKBONES, Backbone, InceptionFeatures
from genarena.evaluation.decoder_likelihood import decoder_log_prob
from genarena.evaluation.settings import EvaluationSettings
from genarena.files.progress import Bars
from genarena.likelihood import Likelihood
from genarena.metrics.base import Unavailable, content_order, finite_rows
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Emits, Integrates, Weighs
from genarena.ranks import exchange, seeds
from genarena.spec import DataSpec

Item = TypeVar("Item")
FEATURE_ROWS = 5000  # images that one rank looks at in a row; a multiple of every network's own batches
ODE_BATCH = 32  # examples that are integrated together, and share their steps


class Evidence:
    """What metrics may ask for: the public properties. Tensors are on the CPU; what there is not raises Unavailable."""

    TEST = frozenset(
        {
            "real",
            "log_prob",
            "real_features",
            "real_domain",
            "real_classes",
            "real_inception",
            "real_dinov2",
            "real_clip",
        }
    )
    SPACE = frozenset({"train_features", "real_features", "fake_features"})  # in the space that the settings name
    NETWORKS = {
        "domain": frozenset({"real_domain", "fake_domain", "real_classes", "fake_classes"}),
        "inception": frozenset({"real_inception", "fake_inception", "fake_inception_logits"}),
        "dinov2": frozenset({"real_dinov2", "fake_dinov2"}),
        "clip": frozenset({"real_clip", "fake_clip"}),
    }
    OWN_SETTINGS = {  # of EvaluationSettings, that only one piece of evidence depends on
        "iw_log_prob": ("iw_samples", "iw_num_test"),
        "iw_log_weights": ("iw_bounds_k", "iw_bounds_num_test"),
        "ode_log_prob": ("ode_num_test", "ode_tolerance", "ode_probes", "ode_dequantisation"),
        "ais_log_prob": ("ais_num_test", "ais_chains", "ais_steps", "ais_sigma"),
    }

    def __init__(self, model: GenerativeModel, data: ArenaDataModule, settings: EvaluationSettings, bars: Bars) -> None:
        self.model, self.data, self.settings, self.bars = model, data, settings, bars
        self.nonfinite_samples = 0
        self._backbones: dict[str, Backbone] = {}

    @classmethod
    def networks(cls, pieces: Collection[str], space: str) -> list[str]:
        """Which networks these pieces of evidence look through."""
        used = {space} if cls.SPACE & set(pieces) else set()
        return sorted(used | {name for name, own in cls.NETWORKS.items() if own & set(pieces)})

    @classmethod
    def names(cls) -> list[str]:
        """Every name that a metric's `update` may have as a parameter."""
        return [name for name, piece in vars(cls).items() if isinstance(piece, cached_property) and name[0] != "_"]

    def require(self, examples: int, because: str = "") -> None:
        """Raise Unavailable when the settings give fewer test examples or fewer samples than `examples`."""
        num_test, num_samples = min(self._held_out.size, self.settings.num_test), self.settings.num_samples
        if min(num_test, num_samples) < examples:
            reason = f" ({because})" if because else ""
            raise Unavailable(
                f"needs at least {examples:,} of both{reason}; there are {num_test:,} test examples and "
                f"{num_samples:,} samples"
            )

    # -- what is known without work

    @cached_property
    def spec(self) -> DataSpec:
        return self.data.spec

    @cached_property
    def likelihood(self) -> Likelihood:
        """The model's own claim, which an instance may narrow."""
        return self.model.likelihood

    @cached_property
    def real(self) -> Tensor:
        """Test examples (N, *shape), as they are on the wire."""
        return self._test(self.settings.num_test).x

    @cached_property
    def train(self) -> Tensor:
        """All examples that training may have shown (N, *shape)."""
        if self.data.seen is None:
            raise Unavailable(f"{self.data.name} {self.data.unseen}")
        return self.data.seen

    @cached_property
    def train_order(self) -> Tensor:
        """(N,) indices that shuffle the training examples by their content."""
        return content_order(self.train)

    # -- from the model

    @cached_property
    def fake(self) -> Tensor:
        """`num_samples` samples (N, *shape): uint8 levels, or finite floats for continuous data."""
        samples, _ = self._samples
        if self.nonfinite_samples:
            raise Unavailable(f"{self.nonfinite_samples} of {len(samples)} samples are not finite")
        return samples

    @cached_property
    def fake_order(self) -> Tensor:
        """(N,) indices that shuffle the samples by their content, whatever order they came in."""
        return content_order(self.fake)

    @cached_property
    def seconds_per_image(self) -> float:
        """Wall seconds per sample."""
        return self._samples[1]

    @cached_property
    def sampler(self) -> dict[str, Any]:
        """How the samples were drawn; JSON-able."""
        count = len(self._samples[0])
        return {
            "n": count,
            "batch_size": min(count, self.settings.batch_size),
            "nfe": self.model.nfe,
            "device": self.model.device.type,
            "threads": torch.get_num_threads(),
            "nonfinite_samples": self.nonfinite_samples,
        }

    @cached_property
    def log_prob(self) -> Tensor:
        """(N,) float64 nats of the `real` examples, one Monte-Carlo draw each where the model draws."""
        return self._log_prob(self.settings.num_test, 1, "log-likelihood")

    @cached_property
    def log_prob_error(self) -> float:
        """Standard error, in nats, that all of `log_prob` share: that of an estimated log Z; 0 for most models."""
        return self.model.estimator(1).get("log_z_standard_error", 0.0)

    @cached_property
    def iw_log_prob(self) -> Tensor:
        """(N,) float64 nats of the first `iw_num_test` examples, a bound from `iw_samples` draws each."""
        self._require_weights()
        draws = self.settings.iw_samples
        return self._log_prob(self.settings.iw_num_test, draws, f"importance-weighted bound, k={draws}")

    @cached_property
    def iw_bounds_k(self) -> list[int]:
        return list(self.settings.iw_bounds_k)

    @cached_property
    def iw_log_weights(self) -> Tensor:
        """(k, N) float64 log importance weights of the first `iw_bounds_num_test` examples, k the largest of `iw_bounds_k`."""
        self._require_weights()
        split, draws = self._test(self.settings.iw_bounds_num_test), self.iw_bounds_k[-1]
        at_once = self.settings.batch_size  # rows in memory: one example, so many draws
        jobs = [(row, min(at_once, draws - first)) for row in range(split.size) for first in range(0, draws, at_once)]

        def weights(job: tuple[int, int]) -> Tensor:
            row, size = job
            return self.model.log_weights(*self._on_device(split[row : row + 1]), num_samples=size).flatten()

        chunks = self._blocks(weights, jobs, f"importance weights, k={draws}")
        return torch.cat(chunks).double().view(split.size, draws).T

    @cached_property
    def ode_log_prob(self) -> Tensor:
        """(N,) float64 nats of the first `ode_num_test` examples under the model's probability-flow ODE."""
        return self._ode[0]

    @cached_property
    def ais_log_prob(self) -> Tensor:
        """(N,) float64 nats of the first `ais_num_test` examples under a decoder with observation noise `ais_sigma`."""
        return self._ais[0]

    # -- features

    @cached_property
    def real_features(self) -> Tensor:
        """(N, F) in the space that the settings name; vectors are their own features."""
        return getattr(self, f"real_{self.settings.features.space}") if self.spec.is_image else self.real

    @cached_property
    def fake_features(self) -> Tensor:
        """(N, F) in the same space."""
        return getattr(self, f"fake_{self.settings.features.space}") if self.spec.is_image else self.fake

    @cached_property
    def train_features(self) -> Tensor:
        """(N, F) in the same space, of all training examples."""
        return self._extract(self.settings.features.space, "train", self.train) if self.spec.is_image else self.train

    @cached_property
    def real_domain(self) -> Tensor:
        """(N, F): penultimate features of the domain classifier."""
        return self._extract("domain", self.settings.split, self.real)

    @cached_property
    def fake_domain(self) -> Tensor:
        """(N, F)."""
        return torch.cat(self._rows(self._network("domain").features, self.fake))

    @cached_property
    def real_classes(self) -> Tensor:
        """(N,) int64: the classes that the domain classifier sees, not the labels."""
        return self._network("domain").logits(finite_rows("real", self.real_domain)).argmax(1)

    @cached_property
    def fake_classes(self) -> Tensor:
        """(N,) int64."""
        return self._network("domain").logits(finite_rows("fake", self.fake_domain)).argmax(1)

    @cached_property
    def real_inception(self) -> Tensor:
        """(N, 2048)."""
        return self._extract("inception", self.settings.split, self.real)

    @cached_property
    def fake_inception(self) -> Tensor:
        """(N, 2048)."""
        return self._fake_inception[0]

    @cached_property
    def fake_inception_logits(self) -> Tensor:
        """(N, 1008), without their bias."""
        return self._fake_inception[1]

    @cached_property
    def real_dinov2(self) -> Tensor:
        """(N, 1024)."""
        return self._extract("dinov2", self.settings.split, self.real)

    @cached_property
    def fake_dinov2(self) -> Tensor:
        """(N, 1024)."""
        return torch.cat(self._rows(self._network("dinov2").features, self.fake))

    @cached_property
    def real_clip(self) -> Tensor:
        """(N, 1024)."""
        return self._extract("clip", self.settings.split, self.real)

    @cached_property
    def fake_clip(self) -> Tensor:
        """(N, 1024)."""
        return torch.cat(self._rows(self._network("clip").features, self.fake))

    def provenance(self, names: Sequence[str]) -> dict[str, Any]:
        """What belongs in the record of every metric that used these pieces."""
        wanted, facts = set(names), {}
        if wanted & self.TEST:
            facts["split"] = self._split(self.settings.num_test)
        if "log_prob" in wanted:
            facts |= {"draws": 1, "estimator": self.model.estimator(1)}
        for piece, limit, draws in (
            ("iw_log_prob", self.settings.iw_num_test, self.settings.iw_samples),
            ("iw_log_weights", self.settings.iw_bounds_num_test, self.iw_bounds_k[-1]),
        ):
            if piece in wanted:
                facts |= {"split": self._split(limit), "draws": draws, "estimator": self.model.estimator(draws)}
        if "ode_log_prob" in wanted:
            facts |= {"split": self._split(self.settings.ode_num_test), "estimator": self._ode[1]}
        if "ais_log_prob" in wanted:
            facts |= {"split": self._split(self.settings.ais_num_test), "estimator": self._ais[1]}
        for network in self.networks(wanted, self.settings.features.space):
            facts["backbone"] = self._network(network).facts if self.spec.is_image else {"name": "identity"}
        return facts

    # -- how it is done

    @cached_property
    def _samples(self) -> tuple[Tensor, float]:
        """Samples as they came, and seconds per sample."""
        batch_size, num_samples = self.settings.batch_size, self.settings.num_samples
        counts = [min(batch_size, num_samples - start) for start in range(0, num_samples, batch_size)]

        def drawn(count: int) -> tuple[Tensor, float]:
            began = time.perf_counter()
            samples = self._checked(self.model.sample(count, self._conditions(count)), count).cpu()
            return samples, time.perf_counter() - began

        chunks, seconds = zip(*self._blocks(drawn, counts, f"samples, batches of {batch_size}"), strict=True)
        samples = torch.cat(chunks)
        self.nonfinite_samples = int((~torch.isfinite(samples.flatten(1))).any(dim=1).sum())
        return samples, sum(seconds) / num_samples

    def _blocks(self, work: Callable[[Item], Any], items: Sequence[Item], title: str) -> list[Any]:
        """`work` on every item, shared among the ranks, with a seed of its own for each: the results are the same for
        any number of ranks."""

        def seeded(numbered: tuple[int, Item]) -> Any:
            torch.manual_seed(seeds.derived(self.settings.sample_seed, numbered[0]))
            result = work(numbered[1])
            return result.cpu() if isinstance(result, Tensor) else result

        def track(own: Sequence) -> Iterable:
            return self.bars.track(own, title)

        return exchange.spread(seeded, list(enumerate(items)), track)

    def _checked(self, samples: Tensor, count: int) -> Tensor:
        expected = (count, *self.spec.shape)
        right_type = samples.dtype == torch.uint8 if self.spec.is_discrete else samples.is_floating_point()
        if tuple(samples.shape) != expected or not right_type:
            raise ValueError(
                f"{self._model_name}.sample gave {samples.dtype} {tuple(samples.shape)}, expected "
                f"{'uint8' if self.spec.is_discrete else 'floats'} {expected}"
            )
        if self.spec.is_discrete and int(samples.max()) >= self.spec.num_levels:
            raise ValueError(
                f"{self._model_name}.sample gave level {int(samples.max())}, the data has levels 0 to "
                f"{self.spec.num_levels - 1}"
            )
        return samples

    def _conditions(self, count: int) -> Tensor | None:
        """Labels to sample under: none, or drawn from the training labels."""
        if self.spec.condition is None:
            return None
        labels = self.data.train.y
        return labels[torch.randint(len(labels), (count,))].to(self.model.device)

    def _log_prob(self, num_test: int, draws: int, title: str) -> Tensor:
        if self.likelihood is Likelihood.NONE:
            raise Unavailable(f"{self._model_name} has no likelihood")
        split = self._test(num_test)
        batch_size = self.settings.batch_size

        def values(start: int) -> Tensor:
            part = split[start : start + batch_size]
            values = self.model.log_prob(*self._on_device(part), num_samples=draws)
            if tuple(values.shape) != (part.size,):
                shape = tuple(values.shape)
                raise ValueError(f"{self._model_name}.log_prob gave shape {shape}, expected {(part.size,)}")
            return values.double()

        return torch.cat(self._blocks(values, range(0, split.size, batch_size), title))

    def _on_device(self, split: Split) -> tuple[Tensor, Tensor | None]:
        """x and, where models are conditional, y."""
        device = self.model.device
        return split.x.to(device), split.y.to(device) if self.spec.condition else None

    def _require_weights(self) -> None:
        if self.likelihood is not Likelihood.LOWER_BOUND:
            raise Unavailable(f"{self._model_name} has no lower bound to tighten (likelihood: {self.likelihood.value})")
        if not isinstance(self.model, Weighs):
            raise Unavailable(f"more draws do not tighten the bound of {self._model_name}")

    @cached_property
    def _ode(self) -> tuple[Tensor, dict[str, Any]]:
        """Log-probabilities, and how they were made."""
        if not isinstance(self.model, Integrates):
            raise Unavailable(f"{self._model_name} has no probability-flow ODE")
        settings, split = self.settings, self._test(self.settings.ode_num_test)

        def solved(start: int) -> tuple[Tensor, dict[str, Any]]:
            x, _ = self._on_device(split[start : start + ODE_BATCH])
            values, facts = self.model.ode_log_prob(
                x, settings.ode_tolerance, settings.ode_probes, settings.ode_dequantisation
            )
            return values.cpu(), facts

        starts = range(0, split.size, ODE_BATCH)
        values, facts = zip(*self._blocks(solved, starts, f"probability flow, batches of {ODE_BATCH}"), strict=True)
        evaluations = sum(fact["nfe"] for fact in facts) / len(facts)
        return torch.cat(values).double(), facts[0] | {"nfe": evaluations, "batch_size": ODE_BATCH}

    @cached_property
    def _ais(self) -> tuple[Tensor, dict[str, Any]]:
        """Log-probabilities, and how they were made."""
        if not isinstance(self.model, Emits):
            raise Unavailable(f"{self._model_name} is no decoder of a Gaussian latent code")
        settings = self.settings
        x, _ = self._on_device(self._test(settings.ais_num_test))
        return self._once(
            lambda: decoder_log_prob(
                self.model,
                self.spec,
                x,
                settings.ais_sigma,
                settings.ais_chains,
                settings.ais_steps,
                settings.batch_size,
                settings.sample_seed,
                self.bars,
            )
        )

    def _once(self, work: Callable[[], Item]) -> Item:
        """What cannot be shared among the ranks: rank 0 does it."""
        return exchange.from_zero(work)

    @cached_property
    def _fake_inception(self) -> tuple[Tensor, Tensor]:
        inception: InceptionFeatures = self._network("inception")
        parts = self._rows(inception.features_and_logits, self.fake)
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def _rows(self, look: Callable[[Tensor, Bars], Item], x: Tensor) -> list[Item]:
        """`look` at parts of x, shared among the ranks."""
        return exchange.spread(lambda part: look(part, self.bars), x.split(FEATURE_ROWS))

    def _network(self, name: str) -> features.DomainClassifier | Backbone:
        """Loaded, or trained, on first use."""
        if name not in self._backbones:
            self._backbones[name] = (
                features.domain_classifier(self.data, self.bars)
                if name == "domain"
                else BACKBONES[name](self.settings.features, self.spec, self.model.device)
            )
        return self._backbones[name]

    def _extract(self, network: str, split: str, x: Tensor) -> Tensor:
        """Features of real examples: kept on disk under the data id, the split and the checksum of the weights."""
        backbone = self._network(network)
        part = f"{split}-at-random" if split != "train" and len(x) < self._held_out.size else split
        name = f"features-{network}-{backbone.digest[:16]}-{part}-{len(x)}"
        name = f"{self.data.facts['id']}/{name}.pt"
        if exchange.from_zero(lambda: features.is_cached(name)):
            return exchange.from_zero(lambda: features.cached(name, lambda: backbone.features(x, self.bars)))
        found = torch.cat(self._rows(backbone.features, x))
        return exchange.from_zero(lambda: features.cached(name, lambda: found))

    @property
    def _model_name(self) -> str:
        return type(self.model).__name__

    @property
    def _held_out(self) -> Split:
        return getattr(self.data, self.settings.split)

    def _test(self, limit: int) -> Split:
        """At most `limit` test examples, drawn with a fixed seed: the first ones of a file may be easier than the rest."""
        split = self._held_out
        if limit >= split.size:
            return split
        return split[torch.randperm(split.size, generator=torch.Generator().manual_seed(0))[:limit]]

    def _split(self, limit: int) -> str:
        name = self.settings.split
        return name if limit >= self._held_out.size else f"{name}, {limit:,} at random"
