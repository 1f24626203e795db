"""Sizes that the data limits: what was asked for, or where nothing was the usual size, if it fits, else the next one below."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

ELSEWHERE = ("spec", "training", "sampler", "first_stage")  # parts of a model's configuration that are no networks


def fitting(name: str, asked: int | None, usual: int, allowed: Sequence[int], data: str) -> int:
    """The size `asked`; None: the largest of the `allowed` ones up to `usual`.

    allowed: in rising order. data: what limits them, such as "images of 28x28". Raises ValueError, with the name and all
    that is allowed, for a size that is not, and where none is.
    """
    if asked is None and allowed and allowed[0] <= usual:
        return max(size for size in allowed if size <= usual)
    if asked not in allowed:
        raise ValueError(f"{name}={'null' if asked is None else asked}: expected {_words(allowed)} for {data}")
    return asked


def divisors(*sides: int) -> list[int]:
    """The numbers that divide all sides, in rising order."""
    common = math.gcd(*sides)
    return [size for size in range(1, common + 1) if common % size == 0]


def chosen_in(network: nn.Module, options: Mapping[str, Any]) -> dict[str, int | str]:
    """Name to value of the options whose null stands for what suits the data: what its parts say in `chosen`. options: of the
    model and, in mappings, of its parts, as configured."""
    nulls, nodes = set(), [options]
    for node in nodes:
        nulls |= {name for name, value in node.items() if value is None}
        nodes += [value for name, value in node.items() if isinstance(value, Mapping) and name not in ELSEWHERE]
    said = (getattr(part, "chosen", {}) for part in reversed([*network.modules()]))
    return {name: value for each in said for name, value in each.items() if name in nulls}


def _words(allowed: Sequence[int]) -> str:
    """`1 to 5`, `1, 2 or 4`, or that there is none."""
    if len(allowed) > 2 and allowed[-1] - allowed[0] == len(allowed) - 1:
        return f"{allowed[0]} to {allowed[-1]}"
    *most, last = map(str, allowed) if allowed else ["none, because no size fits"]
    return f"{', '.join(most)} or {last}" if most else last
