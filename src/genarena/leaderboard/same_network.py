"""Whether two records were measured with the same network, but for rounding."""

import math
from collections.abc import Mapping
from typing import Any

TOLERANCE = 1e-3  # relative; distances in the features of such networks differ by less than samples make them differ


def same_network(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two entries `backbone` of records name the same network.

    Equal weights are. Classifiers that two machines trained by one recipe never have equal weights; they are the same if the
    numbers of their probe, distances between the same images in their features, agree to 0.1%. Other seeds differ by more.
    """
    if not one or not other:
        return not one and not other
    if one.get("name") != other.get("name"):
        return False
    if one.get("weights") == other.get("weights"):
        return True
    probes = one.get("probe") or [], other.get("probe") or []
    if not probes[0] or len(probes[0]) != len(probes[1]):
        return False
    return all(math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(*probes, strict=True))
