"""The likelihood of a model's probability-flow ODE (Song et al. 2021, arXiv 2011.13456, sec. 4.3)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from genarena.evaluation.evidence.base import Kind, piece
from genarena.metrics.base import Unavailable
from genarena.models.capabilities import Integrates
from genarena.options.settings import Settings
from genarena.options.values import Count, Positive

BATCH = 32  # examples that are integrated together, with the same solver steps

Solution = tuple[Tensor, dict[str, Any]]  # log-probabilities (N,), and the facts of the solution


@dataclass(frozen=True)
class ProbabilityFlowSettings(Settings):
    """num_test: largest number of test examples. tolerance: of the solver, absolute and relative. probes: their number in the
    trace estimator; up to 8 dimensions the trace is exact. dequantisation: noise on integer levels: "uniform", or "model", that
    of the model itself, where it has one; else uniform. The record of a metric says which it was."""

    num_test: Count = 64
    tolerance: Positive = 1e-5
    probes: Count = 1
    dequantisation: Literal["model", "uniform"] = "model"


class ProbabilityFlow(Kind):
    """log p(x) through an ordinary differential equation that maps p to a known density."""

    Settings = ProbabilityFlowSettings

    @piece
    def ode_solution(self) -> Solution:
        """(N,) float64 nats of `num_test` test examples, and the facts of the solution."""
        model, settings = self.subject.model, self.settings
        if not isinstance(model, Integrates):
            raise Unavailable(f"{self.subject.model_name} has no probability-flow ODE")
        noise = settings.dequantisation if settings.dequantisation in model.dequantisations else "uniform"
        split = self.subject.test(settings.num_test)

        def solved(start: int) -> Solution:
            x, y = self.subject.on_device(split[start : start + BATCH])
            values, facts = model.ode_log_prob(x, settings.tolerance, settings.probes, noise, y)
            return values.cpu(), facts

        parts = self.subject.blocks(solved, range(0, split.size, BATCH), f"probability flow, batches of {BATCH}")
        values, facts = zip(*parts, strict=True)
        evaluations = sum(fact["nfe"] for fact in facts) / len(facts)
        log_prob = self.subject.possible(torch.cat(values).double(), split)
        return log_prob, facts[0] | {"nfe": evaluations, "batch_size": BATCH}

    @piece
    def ode_log_prob(self, ode_solution: Solution) -> Tensor:
        """(N,) float64 nats of `num_test` test examples."""
        return ode_solution[0]

    def facts(self, piece: str) -> dict[str, Any]:
        split = self.subject.split_name(self.settings.num_test)
        return self.subject.given | {"split": split, "estimator": self.get("ode_solution")[1]}
