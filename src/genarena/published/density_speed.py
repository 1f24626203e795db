"""Flows of vectors against nflows and zuko, of the same sizes: 43 numbers, as MINIBOONE has, in batches of 512.

The reference is installed by who wants the comparison: nothing of ours needs it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from genarena.models.base import GenerativeModel
from genarena.models.flow.maf import MAF
from genarena.models.flow.nsf import NSF
from genarena.published.alternation import Pair, compared, step, still
from genarena.spec import Batch, DataSpec

SPEC, ROWS, BINS, BOUND = DataSpec((43,)), 512, 8, 3.0
COUPLINGS, LAYERS, WIDTH = 10, 5, 128


def nsf(num_rounds: int = 9) -> str:
    """Spline couplings with perceptrons of two hidden layers."""
    try:
        from nflows.distributions.normal import StandardNormal
        from nflows.flows.base import Flow
    except ImportError:
        return "nsf: needs the reference, `pip install nflows`"
    ours = NSF(SPEC, num_bins=BINS, bound=BOUND, num_layers=COUPLINGS, hidden=(WIDTH, WIDTH))
    theirs = Flow(_nflows_couplings(), StandardNormal([43]))
    return compared("nsf", "nflows", _pairs(ours, theirs, theirs.log_prob, theirs.sample), num_rounds)


def _nflows_couplings() -> nn.Module:
    from nflows.transforms import base, coupling, normalization, permutations

    def network(in_features: int, out_features: int) -> nn.Module:
        return WithoutContext(
            nn.Linear(in_features, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, out_features)
        )

    changed = (torch.arange(43) >= 43 // 2).int()
    layers = []
    for _ in range(COUPLINGS):
        options = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
        layers += [
            normalization.ActNorm(43),
            coupling.PiecewiseRationalQuadraticCouplingTransform(changed, network, **options),
            permutations.ReversePermutation(43),
        ]
    return base.CompositeTransform([*layers, normalization.ActNorm(43)])


class WithoutContext(nn.Sequential):
    """A network that is given a context, None, beside its input."""

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return super().forward(x)


def maf(num_rounds: int = 9) -> str:
    """Masked affine layers, without the activation normalisation that ours have between them."""
    try:
        import zuko
    except ImportError:
        return "maf: needs the reference, `pip install zuko`"
    ours = MAF(SPEC, num_layers=LAYERS, hidden=(2 * WIDTH, 2 * WIDTH))
    theirs = zuko.flows.MAF(43, transforms=LAYERS, hidden_features=(2 * WIDTH, 2 * WIDTH))
    calls = lambda x: theirs().log_prob(x), lambda num: theirs().sample((num,))
    return compared("maf", "zuko", _pairs(ours, theirs, *calls), num_rounds)


def nsf_autoregressive(num_rounds: int = 9) -> str:
    """Masked layers of splines, without the activation normalisation that ours have between them."""
    try:
        import zuko
    except ImportError:
        return "nsf_autoregressive: needs the reference, `pip install zuko`"
    ours = NSF(SPEC, mode="autoregressive", num_bins=BINS, bound=BOUND, num_layers=LAYERS, hidden=(WIDTH, WIDTH))
    theirs = zuko.flows.NSF(43, bins=BINS, transforms=LAYERS, hidden_features=(WIDTH, WIDTH))
    calls = lambda x: theirs().log_prob(x), lambda num: theirs().sample((num,))
    return compared("nsf_autoregressive", "zuko", _pairs(ours, theirs, *calls), num_rounds)


def _pairs(
    ours: GenerativeModel, theirs: nn.Module, log_prob: Callable[[Tensor], Tensor], sample: Callable[[int], Tensor]
) -> list[Pair]:
    torch.manual_seed(0)
    x = torch.randn(ROWS, 43)
    return [
        Pair(
            f"a training step on {ROWS} rows",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(theirs, lambda: -log_prob(x).mean(), fused=False),
        ),
        Pair(f"log p of {ROWS} rows", still(ours, lambda: ours.log_prob(x)), still(theirs, lambda: log_prob(x))),
        Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), still(theirs, lambda: sample(ROWS))),
    ]
