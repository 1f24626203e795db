"""Samples of the model, and the time that they took."""

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.evaluation.subject import ContractBroken
from genarena.metrics.base import Unavailable
from genarena.statistics.rows import content_order


class Drawn(NamedTuple):
    """samples: (N, *shape), unchecked values; seconds: wall time per sample; nonfinite: how many samples are not finite."""

    samples: Tensor
    seconds: float
    nonfinite: int


class Samples(Kind):
    """`num_samples` draws, in blocks."""

    reads = {"drawn": ("num_samples", "conditions"), "conditions": ("conditions",)}

    @piece
    def drawn(self) -> Drawn:
        """All samples of the model, including those that are not finite."""
        drawn = self.subject.blocks(self._draw, self.subject.sample_slices(), "samples")
        parts, seconds = zip(*drawn, strict=True)
        samples = torch.cat(parts)
        nonfinite = int((~torch.isfinite(samples.flatten(1))).any(dim=1).sum())
        return Drawn(samples, sum(seconds) / len(samples), nonfinite)

    @piece
    def fake(self, drawn: Drawn) -> Tensor:
        """Samples (N, *shape): uint8 levels, or finite floats for continuous data."""
        if drawn.nonfinite:
            facts = {"nonfinite_samples": drawn.nonfinite}
            raise Unavailable(f"{drawn.nonfinite} of {len(drawn.samples)} samples are not finite", facts)
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
            "batch_size": self.subject.sample_slices()[0].stop,
            "seeds": dict(zip(("sample_seed", "run_seed"), self.subject.seeds, strict=True)),
            "nfe": model.nfe,
            "device": model.device.type,
            "threads": torch.get_num_threads(),
            "nonfinite_samples": drawn.nonfinite,
        }

    @piece
    def conditions(self, drawn: Drawn) -> Tensor:
        """(N, ...) the conditions of the samples, paired or prompted (`evaluation.conditions`)."""
        y = self.subject.conditions(0, len(drawn.samples))
        if y is None:
            raise Unavailable(f"{self.subject.model_name} was trained without conditions (data.condition=label)")
        return y

    def facts(self, piece: str) -> dict[str, Any]:
        """`conditions`: under which ones the samples were drawn."""
        condition = self.subject.data.spec.condition
        if piece != "drawn" or condition is None:
            return {}
        if self.shared.conditions == "prompted":
            return {"conditions": f"prompted: {condition.size} x {condition.kind}, in turn"}
        return {"conditions": f"paired: {condition.kind} of the {self.shared.split} split, in turn"}

    def _draw(self, block: slice) -> tuple[Tensor, float]:
        """A block of samples (count, *shape), and the seconds that they took."""
        count = block.stop - block.start
        y = self.subject.conditions(block.start, count)
        began = time.perf_counter()
        samples = self.subject.model.sample(count, None if y is None else y.to(self.subject.model.device))
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
