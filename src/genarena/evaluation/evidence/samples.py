"""Samples of the model, and the time that they took."""

import time
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from genarena.errors import not_finite
from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.subject import ContractBroken
from genarena.metrics.base import Unavailable
from genarena.models.capabilities import Enumerates
from genarena.models.recoding import Recodes
from genarena.options.settings import Settings
from genarena.options.values import Count
from genarena.spec import DataSpec
from genarena.statistics.rows import content_order


class Drawn(NamedTuple):
    """samples: (N, *shape), unchecked values; seconds: wall time per sample; nonfinite: how many samples are not finite."""

    samples: Tensor
    seconds: float
    nonfinite: int


@dataclass(frozen=True)
class SamplesSettings(Settings):
    """num_samples: number of samples drawn from the model. conditions: of the samples of a conditional model: "paired", those
    of the split's examples in turn; or "prompted", a fixed list: all labels, or all single attributes, in turn."""

    num_samples: Count = 10_000
    conditions: Literal["paired", "prompted"] = "paired"


class Samples(Kind):
    """`num_samples` draws, in blocks: fewer samples are the first of more."""

    Settings = SamplesSettings

    @classmethod
    def check(cls, settings: SamplesSettings, spec: DataSpec) -> None:
        if settings.conditions != "prompted":
            return
        if spec.condition is None:
            raise ValueError("conditions=prompted: models of this data have no condition (data.condition=label)")
        try:
            spec.condition.in_turn(1)
        except ValueError as error:
            raise ValueError(
                f"conditions=prompted: of {spec.condition.kind} conditions there is no list to go through; use paired, those "
                "of the split"
            ) from error

    @piece
    def num_samples(self) -> int:
        """How many samples are drawn: as many as asked for, or all of a model that has only finitely many. Of a model of mels,
        or of what is spoken, one for each example at most: the same again is almost the same sound."""
        model, wanted, condition = self.subject.model, self.settings.num_samples, self.subject.data.spec.condition
        if condition is not None and condition.kind in ("mel", "characters"):
            wanted = min(wanted, self.subject.held_out.size)
            if isinstance(model, Recodes):
                return wanted
        return min(wanted, model.size) if isinstance(model, Enumerates) else wanted

    @piece
    def drawn(self, num_samples: int) -> Drawn:
        """All samples of the model, including those that are not finite."""
        drawn = self.subject.blocks(self._draw, self._blocks(num_samples), "samples")
        parts, seconds = zip(*drawn, strict=True)
        samples = torch.cat(parts)
        nonfinite = int((~torch.isfinite(samples.flatten(1))).any(dim=1).sum())
        return Drawn(samples, sum(seconds) / len(samples), nonfinite)

    @piece
    def fake(self, drawn: Drawn) -> Tensor:
        """Samples (N, *shape): uint8 levels, or finite floats for continuous data."""
        if drawn.nonfinite:
            facts = {"nonfinite_samples": drawn.nonfinite}
            raise Unavailable(not_finite(drawn.nonfinite, len(drawn.samples)), facts)
        self._require_finite_weights()
        return drawn.samples

    @piece
    def fake_order(self, fake: Tensor) -> Tensor:
        """(N,) indices of the samples in an order that depends on their content only."""
        return content_order(fake)

    @piece
    def seconds_per_image(self, drawn: Drawn) -> float:
        """Wall seconds per sample."""
        return drawn.seconds

    @piece
    def sampler(self, drawn: Drawn) -> dict[str, Any]:
        """How the samples were drawn; JSON-able."""
        count, model = len(drawn.samples), self.subject.model
        return {
            "n": count,
            "batch_size": self._blocks(count)[0].stop,
            "seeds": dict(zip(("sample_seed", "run_seed"), self.subject.seeds, strict=True)),
            "nfe": model.nfe,
            "device": model.device.type,
            "threads": torch.get_num_threads(),
            "nonfinite_samples": drawn.nonfinite,
        }

    @piece
    def conditions(self, drawn: Drawn) -> Tensor:
        """(N, ...) the conditions of the samples, paired or prompted."""
        y = self._conditions(0, len(drawn.samples))
        if y is None:
            raise Unavailable(f"{self.subject.model_name} was trained without conditions (data.condition=label)")
        return y

    def facts(self, piece: str) -> dict[str, Any]:
        """`conditions`: under which ones the samples were drawn."""
        condition = self.subject.data.spec.condition
        if piece != "drawn" or condition is None:
            return {}
        if self.settings.conditions == "prompted":
            return {"conditions": f"prompted: {condition.size} x {condition.kind}, in turn"}
        return {"conditions": f"paired: {condition.kind} of the {self.subject.settings.split} split, in turn"}

    def _blocks(self, num_samples: int) -> list[slice]:
        """A single block for a model whose samples must not repeat."""
        whole = isinstance(self.subject.model, Enumerates)
        return [slice(0, num_samples)] if whole else self.subject.slices(num_samples)

    def _conditions(self, start: int, count: int) -> Tensor | None:
        """Conditions of `count` samples from sample `start` on, on the CPU; None for an unconditional model.

        Paired: sample i has that of test example i; if there are more samples than test examples, these start again.
        Prompted: sample i has entry i of a fixed list.
        """
        condition = self.subject.data.spec.condition
        if not condition:
            return None
        if self.settings.conditions == "prompted":
            return condition.in_turn(start + count)[start:]
        y = self.subject.held_out.given(condition)
        return y[torch.arange(start, start + count) % len(y)]

    def _draw(self, block: slice) -> tuple[Tensor, float]:
        """A block of samples (count, *shape), and the seconds that they took."""
        count = block.stop - block.start
        y, model, condition = self._conditions(block.start, count), self.subject.model, self.subject.data.spec.condition
        began = time.perf_counter()
        if isinstance(model, Recodes) and condition is not None:
            samples = model.recode(self.subject.held_out.x[block].to(model.device))
        else:
            samples = model.sample(count, None if y is None else y.to(model.device))
        self._check(samples, count)
        return samples.cpu(), time.perf_counter() - began

    def _require_finite_weights(self) -> None:
        """Raise Unavailable if a parameter is not finite: an activation may hide it, tanh(inf) is 1, and the sample is none."""
        weights = self.subject.model.named_parameters()
        if broken := [name for name, value in weights if not bool(torch.isfinite(value).all())]:
            raise Unavailable(f"a parameter of {self.subject.model_name} is not finite ({broken[0]})")

    def _check(self, samples: Tensor, count: int) -> None:
        """Raises ContractBroken for samples that are not in the space of the data. Samples of integer data may be floats only
        if one of them is not finite (`genarena.likelihood.as_levels`)."""
        spec, name = self.subject.data.spec, self.subject.model_name
        expected, discrete = (count, *spec.shape), spec.is_discrete
        marked = samples.is_floating_point() and not bool(torch.isfinite(samples).all())
        right_type = marked or samples.dtype == spec.dtype if discrete else samples.is_floating_point()
        if tuple(samples.shape) != expected or not right_type:
            wanted = str(spec.dtype).removeprefix("torch.") if discrete else "floats"
            shape = tuple(samples.shape)
            raise ContractBroken(f"{name}.sample gave {samples.dtype} {shape}, expected {wanted} {expected}")
        if discrete and (highest := int(samples.nan_to_num(posinf=0.0, neginf=0.0).max())) >= spec.num_levels:
            levels = f"0 to {spec.num_levels - 1}"
            raise ContractBroken(f"{name}.sample gave level {highest}, the data has levels {levels}")
