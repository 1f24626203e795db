"""The contract of every model: a subclass writes mathematics only (`loss`, `sample`, `log_prob`).

How it is optimised is written once, in `genarena.training.module`. Everything here works without a Trainer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import UnionType
from typing import Any, ClassVar

from torch import Tensor

from genarena.likelihood import Likelihood, bits_per_dim
from genarena.models.sampler import Sampler
from genarena.nets.conditioning import KINDS, Conditioning, conditioning
from genarena.spec import Batch, DataSpec
from genarena.training.module import TrainedModule, Training

FACTS = ("family", "likelihood", "paper")


class GenerativeModel(TrainedModule, ABC):
    """A distribution p(x | y) over the data a `DataSpec` describes.

    A subclass names its `family` (the folder), `likelihood` and `paper`, and writes `loss`, `sample` and, unless its
    likelihood is `NONE`, `log_prob`. Where the kind of likelihood depends on the data or an option, `likelihood` is a
    property: a flow has a `LOWER_BOUND` for dequantised levels and is `EXACT` for vectors.
    The weights that are evaluated are the best on validation by `objective`, which a model whose loss is no bound gives; else
    by `bits_per_dim`, where the likelihood is exact or a bound; else by the fd_domain of samples, where the data has it; else
    the last.

    If `spec.condition` is set, the model is p(x | y). A class that can be conditional says `conditional = True`, builds its
    networks for vectors of `self.conditioning.out_features` entries (None for an unconditional model) and gives them
    `self.context(y, num_examples)`, which refuses a y of other examples; where they are taken in parts, `in_parts` of
    `nets/conditioning.py` gives each part its own. `condition_dropout`: share of the training examples that lose their
    condition, for guidance.

    Raises TypeError for a class without `family`, `likelihood` or `paper`; ValueError if the data is sound or
    conditional and the class is not made for it.
    """

    family: ClassVar[str]
    likelihood: ClassVar[Likelihood]
    paper: ClassVar[str]  # arXiv id, or a DOI
    takes_sound: ClassVar[bool] = False  # True: data of shape (C, T) too
    takes_images: ClassVar[bool] = True  # False: data of shape (C, T) only
    takes_mels: ClassVar[bool] = False  # True: log-mel spectrograms only
    takes_missing: ClassVar[bool] = False  # True: it learns p(x) from the observed entries of x; hidden ones are NaN
    conditional: ClassVar[bool] = False  # True: it uses y where `spec.condition` is set
    condition_kinds: ClassVar[tuple[str, ...]] = KINDS  # of a conditional model: those that it takes
    needs_condition: ClassVar[bool] = False  # True: there is no p(x) without y
    guides: ClassVar[bool] = False  # True: its sampler combines predictions with and without a condition
    samplers: ClassVar[type[Sampler] | UnionType | None] = None  # those that fit; None: there is only one way to draw
    sampler: Any = None  # the one in use, an instance of `samplers`
    untrained: Callable[[], "GenerativeModel"] | None = None  # makes it again with new weights; None: it is of no run

    def __init__(self, spec: DataSpec, training: Training | None = None, condition_dropout: float = 0.0) -> None:
        super().__init__(training)
        if missing := [fact for fact in FACTS if not hasattr(type(self), fact)]:
            raise TypeError(f"the class {type(self).__name__} has no {' and no '.join(missing)}: it has to name them")
        if spec.is_sound and not self.takes_sound:
            raise ValueError(f"{type(self).__name__} does not model sound, and this data set has shape {spec.shape}")
        if self.takes_mels:
            spec.require_mel(type(self).__name__)
        elif not self.takes_images:
            spec.require_sound(type(self).__name__)
        if self.needs_condition and not spec.condition:
            kinds = " or ".join(f"data.condition={kind}" for kind in self.condition_kinds)
            raise ValueError(f"{type(self).__name__} is a model of p(x | y) alone: say {kinds}")
        if spec.condition and not self.conditional:
            raise ValueError(f"data.condition={spec.condition.kind}: {type(self).__name__} cannot be conditional")
        if spec.condition and spec.condition.kind not in self.condition_kinds:
            kinds = ", ".join(self.condition_kinds)
            raise ValueError(f"data.condition={spec.condition.kind}: {type(self).__name__} takes {kinds}")
        if spec.condition and not spec.condition.size:
            raise ValueError(f"data.condition={spec.condition.kind}: the data set has to say which words there are")
        if reason := self.refusal_of_holes(spec.missing):
            raise ValueError(reason)
        self.spec = spec
        self.conditioning: Conditioning | None = conditioning(spec.condition, condition_dropout)

    @classmethod
    def refusal_of_holes(cls, missing: str | None) -> str:
        """Why the class cannot learn from rows whose entries are hidden by a mechanism; "" if it can, or there is none."""
        return (
            "" if cls.takes_missing or not missing else f"data.missing={missing}: {cls.__name__} needs every entry of x"
        )

    def context(self, y: Tensor | None, num_examples: int) -> Tensor | None:
        """The condition as vectors (num_examples, F); None for an unconditional model, whatever y is.

        y=None is "no condition". Raises ValueError if the model has not learned it (`condition_dropout` 0), or y does not fit.
        """
        return None if self.conditioning is None else self.conditioning(y, num_examples, self.device)

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars: `loss` is minimised, the others are the paper's named terms (nats unless the model says otherwise)."""

    @abstractmethod
    def sample(self, num_samples: int, y: Tensor | None = None) -> Tensor:
        """(num_samples, *shape) in the space of the data, of type `spec.dtype`; y: conditions (num_samples, ...)."""

    def use(self, sampler: Sampler) -> None:
        """Draw samples with this sampler from now on; the weights do not change. Raises ValueError if it does not fit."""
        if self.samplers is None or not isinstance(sampler, self.samplers):
            raise ValueError(f"sampler: {type(sampler).__name__} does not fit {type(self).__name__}")
        if sampler.guidance != 1.0 and not self.guides:
            raise ValueError(f"sampler.guidance={sampler.guidance}: {type(self).__name__} has no guidance; expected 1")
        if sampler.guidance != 1.0 and not (self.conditioning and self.conditioning.dropout):
            raise ValueError(
                f"sampler.guidance={sampler.guidance}: the model was trained without conditions that are dropped at "
                "random, and has no prediction without them; expected 1"
            )
        self.sampler = sampler

    def log_prob(self, x: Tensor, y: Tensor | None = None, num_samples: int = 1) -> Tensor:
        """log p(x | y), (N,) nats, of x (N, *shape) in the space of the data: integer levels, or floats.

        `num_samples` Monte-Carlo draws tighten a bound or an estimate. Raises TypeError if the model has no likelihood.
        """
        raise TypeError(f"{type(self).__name__} has no likelihood")

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        """How `log_prob` computes its value: `method`, and every setting that the value depends on; JSON-able.

        It is part of the record of every metric that uses the value. A model with a bound or an estimate overrides it.
        """
        if self.likelihood is Likelihood.EXACT:
            return {"method": "closed form"}
        return {"method": f"not known: {type(self).__name__} does not write estimator()"}

    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars averaged over the validation set and logged as `val/<name>`."""
        terms = self.loss(batch)
        if self.likelihood in (Likelihood.EXACT, Likelihood.LOWER_BOUND):
            terms["bits_per_dim"] = bits_per_dim(self.log_prob(batch.x, batch.y), self.spec.num_dims).mean()
        return terms

    @property
    def nfe(self) -> int:
        """Network evaluations per sample."""
        return 1
