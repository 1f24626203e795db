"""Learning-rate factors as functions of the used share of the budget, so that no schedule needs a step count."""

import math

from genarena.options.values import Count, Positive, Share


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


def linear(progress: float, warmup: Share = 0.0) -> float:
    """Linear rise over the first `warmup` share of the budget, then linear down to 0 at its end."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return min(1.0, (1.0 - progress) / (1.0 - warmup)) if warmup < 1.0 else 1.0


def staircase(
    progress: float, warmup: Share = 0.0, stages: Count = 8, growth: Positive = 3.0, final: Share = 0.1
) -> float:
    """Steps down from 1 to `final` by equal factors; each of the `stages` is `growth` times as long as the one before.

    The defaults are those of Burda et al. 2016 (arXiv 1509.00519, sec. 5): 10^(-i/7) for 3^i passes, i = 0 .. 7. After a linear
    rise over the first `warmup` share of the budget.
    """
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    lengths = [growth**stage for stage in range(stages)]
    ends = [sum(lengths[: stage + 1]) / sum(lengths) for stage in range(stages)]
    stage = min(sum(progress >= end for end in ends), stages - 1)
    return final ** (stage / (stages - 1)) if stages > 1 else 1.0
