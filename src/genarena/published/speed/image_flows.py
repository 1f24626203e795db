"""Flows of images against normflows and nflows, of the same sizes: 3x32x32, batches of 16.

The reference is installed by who wants the comparison: nothing of ours needs it.
"""

import torch
from torch import Tensor, nn

from genarena.likelihood import dequantise
from genarena.models.flow.glow import Glow
from genarena.published.speed.alternation import Pair, compared, step, still
from genarena.published.speed.flows import WithoutContext
from genarena.spec import Batch, DataSpec

SPEC, ROWS, SCALES, STEPS, WIDTH, BINS, BOUND = DataSpec((3, 32, 32), 256), 16, 3, 4, 128, 4, 3.0


def glow(num_rounds: int = 9) -> str:
    """Affine couplings with convolutions of 3x3, 1x1 and 3x3."""
    try:
        import normflows
    except ImportError:
        return "glow: needs the reference, `pip install normflows`"
    flows, merges, bases = [], [], []
    for level in range(SCALES):
        channels, size = 3 * 2 ** (SCALES + 1 - level), 4 * 2**level
        blocks = [normflows.flows.GlowBlock(channels, WIDTH, split_mode="channel", scale=True) for _ in range(STEPS)]
        flows.append([*blocks, normflows.flows.Squeeze()])
        kept = channels if level == 0 else channels // 2
        bases.append(normflows.distributions.DiagGaussian((kept, size, size)))
        merges += [normflows.flows.Merge()] if level else []
    theirs = normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)
    return compared("glow", "normflows", _pairs(_ours(), theirs, lambda u: theirs.log_prob(u, None)), num_rounds)


def glow_spline(num_rounds: int = 5) -> str:
    """Couplings of rational-quadratic splines with the same convolutions."""
    try:
        from nflows.distributions.normal import StandardNormal
        from nflows.flows.base import Flow
    except ImportError:
        return "glow_spline: needs the reference, `pip install nflows`"
    theirs, ours = Flow(_nflows_scales(), StandardNormal([3072])), _ours(coupling="spline", num_bins=BINS, bound=BOUND)
    return compared("glow_spline", "nflows", _pairs(ours, theirs, theirs.log_prob), num_rounds)


def _ours(**options: object) -> Glow:
    plain = {"patch": 1, "position_bias": False, "pixels": "centred"}
    return Glow(SPEC, num_levels=SCALES, num_steps=STEPS, hidden_channels=WIDTH, **plain, **options)


def _convolutions(in_channels: int, out_channels: int) -> nn.Module:
    first, last = nn.Conv2d(in_channels, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, out_channels, 3, padding=1)
    return WithoutContext(first, nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU(), last)


def _nflows_scales() -> nn.Module:
    from nflows import transforms

    shape, scales = SPEC.shape, transforms.MultiscaleCompositeTransform(SCALES)
    for _ in range(SCALES):
        squeeze = transforms.SqueezeTransform()
        shape, layers = squeeze.get_output_shape(*shape), [squeeze]
        changed = (torch.arange(shape[0]) >= shape[0] // 2).int()
        for _ in range(STEPS):
            options = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
            layers += [
                transforms.ActNorm(shape[0]),
                transforms.OneByOneConvolution(shape[0]),
                transforms.PiecewiseRationalQuadraticCouplingTransform(changed, _convolutions, **options),
            ]
        shape = scales.add_transform(transforms.CompositeTransform(layers), shape)
    return scales


def _pairs(ours: Glow, theirs: nn.Module, log_prob: object) -> list[Pair]:
    torch.manual_seed(0)
    x = torch.randint(256, (ROWS, *SPEC.shape), dtype=torch.uint8)

    def of_levels() -> Tensor:
        return log_prob(dequantise(x, 256) - 0.5)

    def drawn() -> Tensor:
        u = theirs.sample(ROWS)
        return ((u[0] if isinstance(u, tuple) else u) * 256.0 + 128.0).floor().clamp(0, 255).byte()

    return [
        Pair(
            f"a training step on {ROWS} images",
            step(ours, lambda: ours.loss(Batch(x))["loss"]),
            step(theirs, lambda: -of_levels().mean() / SPEC.num_dims, fused=False),
        ),
        Pair(f"log p of {ROWS} images", still(ours, lambda: ours.log_prob(x)), still(theirs, of_levels)),
        Pair(f"{ROWS} samples", still(ours, lambda: ours.sample(ROWS)), still(theirs, drawn)),
    ]
