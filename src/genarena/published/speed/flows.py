"""Flows of vectors against nflows, zuko, normflows and torchdiffeq, of equal sizes: 43 numbers, as in MINIBOONE, 512 rows.

The reference is installed by who wants the comparison: nothing of ours needs it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genarena.models.base import GenerativeModel
from genarena.models.flow.ffjord import FFJORD
from genarena.models.flow.maf import MAF
from genarena.models.flow.nsf import NSF
from genarena.models.flow.realnvp import RealNVP
from genarena.models.flow.residual_flow import ResidualFlow
from genarena.published.speed.alternation import Pair, compared, step, still
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


def realnvp(num_rounds: int = 9) -> str:
    """Affine couplings with the same perceptrons; ours see all dimensions, of which half are zero."""
    try:
        from nflows.distributions.normal import StandardNormal
        from nflows.flows.base import Flow
        from nflows.transforms import base, coupling, normalization
    except ImportError:
        return "realnvp: needs the reference, `pip install nflows`"
    ours, layers = RealNVP(SPEC, num_couplings=COUPLINGS, hidden_features=WIDTH), []
    for index in range(COUPLINGS):
        mask = (torch.arange(43) + index) % 2
        layers += [normalization.ActNorm(43), coupling.AffineCouplingTransform(mask, _perceptron)]
    theirs = Flow(base.CompositeTransform([*layers, normalization.ActNorm(43)]), StandardNormal([43]))
    return compared("realnvp", "nflows", _pairs(ours, theirs, theirs.log_prob, theirs.sample), num_rounds)


def nice(num_rounds: int = 9) -> str:
    """Additive couplings with the same perceptrons, and a logistic prior; theirs in plain PyTorch."""
    try:
        from nflows.transforms import base, coupling, normalization
    except ImportError:
        return "nice: needs the reference, `pip install nflows`"
    options, layers = {"coupling": "additive", "base": "logistic"}, []
    ours = RealNVP(SPEC, num_couplings=COUPLINGS, hidden_features=WIDTH, **options)
    for index in range(COUPLINGS):
        mask = (torch.arange(43) + index) % 2
        layers += [normalization.ActNorm(43), coupling.AdditiveCouplingTransform(mask, _perceptron)]
    theirs = base.CompositeTransform([*layers, normalization.ActNorm(43)])

    def log_prob(x: Tensor) -> Tensor:
        z, log_det = theirs(x)
        return (F.logsigmoid(z) + F.logsigmoid(-z)).sum(1) + log_det

    def sample(num: int) -> Tensor:
        return theirs.inverse(torch.rand(num, 43).logit(1e-6))[0]

    return compared("nice", "nflows", _pairs(ours, theirs, log_prob, sample), num_rounds)


def _perceptron(in_features: int, out_features: int) -> nn.Module:
    return WithoutContext(
        nn.Linear(in_features, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, out_features)
    )


def _nflows_couplings() -> nn.Module:
    from nflows.transforms import base, coupling, normalization, permutations

    changed = (torch.arange(43) >= 43 // 2).int()
    layers = []
    for _ in range(COUPLINGS):
        options = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
        layers += [
            normalization.ActNorm(43),
            coupling.PiecewiseRationalQuadraticCouplingTransform(changed, _perceptron, **options),
            permutations.ReversePermutation(43),
        ]
    return base.CompositeTransform([*layers, normalization.ActNorm(43)])


class WithoutContext(nn.Sequential):
    """A network that is given a context, None, beside its input."""

    def forward(self, x: Tensor, context: None = None) -> Tensor:
        return super().forward(x)


def maf(num_rounds: int = 9) -> str:
    """Masked affine layers, without the activation normalisation that ours have between them."""
    ours = MAF(SPEC, num_layers=LAYERS, hidden=(2 * WIDTH, 2 * WIDTH))
    return _beside_zuko("maf", ours, "MAF", num_rounds, hidden_features=(2 * WIDTH, 2 * WIDTH))


def iaf(num_rounds: int = 5) -> str:
    """The same layers in the other direction: samples in one pass, log p in 43 steps."""
    ours = MAF(SPEC, direction="sampling", num_layers=LAYERS, hidden=(WIDTH, WIDTH))
    return _beside_zuko("iaf", ours, "MAF", num_rounds, inverse=True, hidden_features=(WIDTH, WIDTH))


def nsf_autoregressive(num_rounds: int = 9) -> str:
    """Masked layers of splines, without the activation normalisation that ours have between them."""
    ours = NSF(SPEC, mode="autoregressive", num_bins=BINS, bound=BOUND, num_layers=LAYERS, hidden=(WIDTH, WIDTH))
    return _beside_zuko("nsf_autoregressive", ours, "NSF", num_rounds, bins=BINS, hidden_features=(WIDTH, WIDTH))


def _beside_zuko(
    name: str, ours: GenerativeModel, kind: str, num_rounds: int, inverse: bool = False, **options: object
) -> str:
    """kind: a class of zuko.flows, with these options; inverse: its layers in the other direction."""
    try:
        import zuko
    except ImportError:
        return f"{name}: needs the reference, `pip install zuko`"
    theirs = getattr(zuko.flows, kind)(43, transforms=LAYERS, **options)
    if inverse:
        theirs = zuko.lazy.Flow([layer.inv for layer in theirs.transform.transforms], theirs.base)
    calls = lambda x: theirs().log_prob(x), lambda num: theirs().sample((num,))
    return compared(name, "zuko", _pairs(ours, theirs, *calls), num_rounds)


def residual_flow(num_rounds: int = 15) -> str:
    """Our networks on both sides, with the norms of their weights; the power series with as many terms, and one probe. In
    sampling theirs finds log p as well, and stops at a difference of .003 between two iterates; ours stops at 1e-6."""
    try:
        from normflows import NormalizingFlow, distributions, flows
    except ImportError:
        return "residual_flow: needs the reference, `pip install normflows`"
    ours, same = (ResidualFlow(SPEC, num_blocks=COUPLINGS, hidden=(64, 64), exact_dims=0) for _ in range(2))
    blocks = [flows.Residual(chain.bijections[1].network) for chain in same.flow.bijections[:-1]]
    layers = [layer for block in blocks for layer in (block, flows.ActNorm(43))]
    theirs = NormalizingFlow(distributions.DiagGaussian(43), [flows.ActNorm(43), *layers])

    def sample(num: int) -> Tensor:
        with parametrize.cached():
            return theirs.sample(num)[0]

    return compared("residual_flow", "normflows", _pairs(ours, theirs, theirs.log_prob, sample), num_rounds)


def ffjord(num_rounds: int = 5) -> str:
    """One velocity, the same on both sides, by Dormand & Prince's method with the same tolerances: one probe in training, the
    exact trace and a state in double precision in evaluation. torchdiffeq without its adjoint, which is slower at this size."""
    try:
        from torchdiffeq import odeint
    except ImportError:
        return "ffjord: needs the reference, `pip install torchdiffeq`"
    ours = FFJORD(SPEC, hidden=(64, 64))
    before, flow, after = ours.flow.bijections
    velocity = flow.velocity

    def log_prob(x: Tensor) -> Tensor:
        training = torch.is_grad_enabled()
        probe = torch.randint(2, x.shape) * 2.0 - 1.0

        def field(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                z = state[0] if training else state[0].detach().float()
                z = z if z.requires_grad else z.requires_grad_()
                v = velocity(z, t.item())
                if training:
                    (pulled,) = torch.autograd.grad(v, z, probe, create_graph=True)
                    return v, (pulled * probe).sum(1)
                parts = [torch.autograd.grad(v[:, d].sum(), z, retain_graph=True)[0][:, d] for d in range(43)]
            return v.detach().double(), sum(parts).double()

        x, log_det = before(x)
        tolerance, times = 1e-3 if training else 1e-5, torch.tensor([0.0, 1.0])
        state = (x, torch.zeros(len(x))) if training else (x.double(), torch.zeros(len(x)).double())
        z, trace = odeint(field, state, times, rtol=tolerance, atol=tolerance, method="dopri5")
        z, rest = after(z[-1].float())
        return torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1) + log_det + trace[-1] + rest

    def sample(num: int) -> Tensor:
        z, times = after.inverse(torch.randn(num, 43)), torch.tensor([1.0, 0.0])
        return before.inverse(odeint(lambda t, z: velocity(z, t.item()), z, times, rtol=1e-5, atol=1e-5)[-1])

    return compared("ffjord", "torchdiffeq", _pairs(ours, ours, log_prob, sample), num_rounds)


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
