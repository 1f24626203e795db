"""FFJORD (Grathwohl, Chen, Bettencourt, Sutskever & Duvenaud 2019, arXiv 1810.01367): a continuous normalising flow, trained by
likelihood, with an unconstrained velocity.

Differs from the paper
- Gradients go through the steps of the solver, instead of through a second equation (the adjoint): they are those of the number
  that was computed, and the memory grows with the steps.
- All examples of a batch share the solver's steps, whose error is averaged over the batch.
- Up to `exact_dims` dimensions evaluation takes the exact trace, and the likelihood is that of any flow, to the tolerance of
  the solver. Above, Hutchinson's estimate makes it an estimate.
- Activation normalisation instead of the paper's batch normalisation between flows. No regularisation.
- Images are vectors; the paper's convolutions at several scales are left out. Pixels first pass a learned elementwise map to a
  normal distribution (`Gaussianise`), unless the paper's logit is chosen.
- With a condition, a linear map of it is added in every hidden layer, and a mean and a scale of all latents depend on it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genarena.likelihood import Likelihood
from genarena.models.flow.autoregressive import Flatten
from genarena.models.flow.bijection import Bijection, Chain
from genarena.models.flow.convolutions import ActNorm
from genarena.models.flow.density import NormalisingFlow
from genarena.models.flow.dequantisation import build_dequantisation, pixel_bijection
from genarena.models.sampler import Temperature
from genarena.nets.conditioning import linear, num_features
from genarena.options.values import Count, Positive, Whole
from genarena.spec import DataSpec
from genarena.statistics import ode, traces
from genarena.training.module import Training


class FFJORD(NormalisingFlow):
    """log p(x) = log N(z(1); 0, I) + integral over [0, 1] of tr dv/dz,  dz/dt = v(z, t), z(0) = x (eq. 3-5).

    In training the trace is e^T (dv/dz) e with one draw of signs e for the whole path (eq. 7).

    num_flows: so many velocities after each other. hidden: width of each hidden layer of their networks.
    activation: softplus or tanh. training_tolerance, tolerance: of the solver in training and in evaluation.
    exact_dims: up to so many dimensions evaluation takes the exact trace. num_probes: draws of signs above, in evaluation.
    pixels, logit_alpha, dequantisation: as in Glow.
    Raises ValueError for vectors of integer levels, and without hidden layers.
    """

    paper = "1810.01367"
    mixed_precision = False

    def __init__(
        self,
        spec: DataSpec,
        training: Training | None = None,
        num_flows: Count = 1,
        hidden: Sequence[Count] = (64, 64),
        activation: Literal["softplus", "tanh"] = "tanh",
        training_tolerance: Positive = 1e-3,
        tolerance: Positive = 1e-5,
        exact_dims: Whole = 64,
        num_probes: Count = 1,
        pixels: Literal["gaussianised", "logit", "centred"] = "gaussianised",
        logit_alpha: Positive | None = None,
        dequantisation: Literal["uniform", "variational"] = "uniform",
        sampler: Temperature = Temperature(),  # noqa: B008 - frozen
    ) -> None:
        if not hidden:
            raise ValueError("hidden=[]: expected at least one layer")
        dims, context = spec.num_dims, num_features(spec.condition)
        solver = Solver(training_tolerance, tolerance, exact_dims, num_probes)
        layers: list[Bijection] = []
        for _ in range(num_flows):
            velocity = ConcatSquashNetwork(dims, hidden, activation, context)
            layers += [ActNorm(dims), ContinuousFlow(velocity, solver)]
        flow, dequantiser = Chain(*layers, ActNorm(dims)), None
        if spec.is_image or spec.is_discrete:
            spec.require_image("ffjord, beside vectors of floats,")
            flow = Chain(pixel_bijection(pixels, logit_alpha, spec), Flatten(spec.shape), flow)
            dequantiser = build_dequantisation(dequantisation, spec)
        super().__init__(spec, training, flow, dequantiser, sampler)
        self.solver = solver

    @property
    def likelihood(self) -> Likelihood:
        return super().likelihood if self.spec.num_dims <= self.solver.exact_dims else Likelihood.ESTIMATE

    def estimator(self, num_samples: int = 1) -> dict[str, Any]:
        exact = self.spec.num_dims <= self.solver.exact_dims
        trace = {"trace": "exact"} if exact else {"trace": "hutchinson", "trace_probes": self.solver.num_probes}
        return super().estimator(num_samples) | {"solver": ode.SOLVER, "tolerance": self.solver.tolerance} | trace

    @property
    def nfe(self) -> int:
        """Evaluations of the velocities at the last sample, or what the shortest solution takes."""
        parts = [part for part in self.flow.modules() if isinstance(part, ContinuousFlow)]
        return sum(part.nfe for part in parts)


class Solver:
    """How the equation is solved: see `FFJORD`."""

    def __init__(self, training_tolerance: float, tolerance: float, exact_dims: int, num_probes: int) -> None:
        self.training_tolerance, self.tolerance = training_tolerance, tolerance
        self.exact_dims, self.num_probes = exact_dims, num_probes

    def probes(self, x: Tensor, training: bool) -> Tensor:
        if not training and x[0].numel() <= self.exact_dims:
            return traces.axes(x)
        return traces.signs(x, 1 if training else self.num_probes)


class ContinuousFlow(Bijection):
    """z(1) from z(0) = x (N, D), with the integral of the divergence. nfe: evaluations of the velocity at the last inverse."""

    def __init__(self, velocity: nn.Module, solver: Solver) -> None:
        """velocity: (z (N, D), time, context) to (N, D)."""
        super().__init__()
        self.velocity, self.solver, self.nfe = velocity, solver, 8

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        solver, recorded = self.solver, torch.is_grad_enabled()
        tolerance = solver.training_tolerance if self.training else solver.tolerance
        with torch.inference_mode(False), torch.set_grad_enabled(recorded):
            x = x.clone() if x.is_inference() else x
            field = partial(self.velocity, context=context)
            flowed = ode.flow(field, x, (0.0, 1.0), tolerance, solver.probes(x, self.training))
        return flowed.x.to(x.dtype), flowed.log_det.to(x.dtype)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        field = partial(self.velocity, context=context)
        x, self.nfe = ode.integrate(field, z, (1.0, 0.0), self.solver.tolerance)
        return x


class ConcatSquash(nn.Module):
    """(W x + b) sigmoid(u t + c) + w t: a linear layer that the time scales and shifts (the authors' code)."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)
        self.gate = nn.Linear(1, out_features)
        self.shift = nn.Linear(1, out_features, bias=False)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """t: (1, 1)."""
        return self.layer(x) * torch.sigmoid(self.gate(t)) + self.shift(t)


class ConcatSquashNetwork(nn.Module):
    """(z (N, D), time) to (N, D), smooth, so that it can be differentiated twice; it starts near zero."""

    def __init__(self, num_dims: int, hidden: Sequence[int], activation: str, context_features: int = 0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConcatSquash(*sizes) for sizes in pairwise((num_dims, *hidden, num_dims)))
        self.contexts = nn.ModuleList(linear(context_features, width) for width in hidden if context_features)
        self.activation = F.softplus if activation == "softplus" else torch.tanh
        with torch.no_grad():
            for weight in self.layers[-1].parameters():
                weight.mul_(0.1)

    def forward(self, x: Tensor, time: float, context: Tensor | None = None) -> Tensor:
        t = torch.full((1, 1), time, device=x.device, dtype=x.dtype)
        for index, layer in enumerate(self.layers[:-1]):
            x = layer(x, t)
            x = self.activation(x + self.contexts[index](context) if self.contexts else x)
        return self.layers[-1](x, t)
