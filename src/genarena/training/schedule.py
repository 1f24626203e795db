"""Learning-rate factors as functions of the used share of the budget, so that no schedule needs a step count."""

import math

from genarena.options.values import Share


def constant(progress: float, warmup: float = 0.0) -> float:
    """1 after a linear rise over the first `warmup` share of the budget."""
    return min(1.0, (progress + 1e-3) / (warmup + 1e-3))


def warmup_cosine(progress: float, warmup: Share = 0.02, final: float = 0.0) -> float:
    """Linear rise over the first `warmup` share of the budget, then half a cosine down to `final`."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    share = min(1.0, (progress - warmup) / (1.0 - warmup))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * share))


def warmup_constant_cosine(progress: float, warmup: Share = 0.02, decay: Share = 0.5, final: float = 0.0) -> float:
    """Linear rise, flat until the last `decay` share of the budget, then half a cosine down to `final`."""
    if progress < 1.0 - decay:
        return min(1.0, (progress + 1e-3) / (warmup + 1e-3))
    share = min(1.0, (progress - 1.0 + decay) / decay) if decay else 0.0
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * share))
