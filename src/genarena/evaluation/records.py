"""Records of metrics as JSON: the only place where tensors, NumPy numbers and NaN are converted."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor


def plain(value: Any) -> Any:
    """`value` as numbers, text, lists and dicts, at any depth. A number that is not finite becomes None: JSON has no NaN.

    Raises TypeError for anything that is not data.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} is no data for a record")


def noted(record: Mapping[str, Any]) -> dict[str, Any]:
    """`plain(record)`. Where numbers were not finite, `not_finite` lists their places in it, e.g. `nats[0]`.

    Raises TypeError for anything that is not data.
    """
    places = list(_not_finite(record, ""))
    return plain(record) | ({"not_finite": places} if places else {})


def _not_finite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _not_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_finite(item, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield place
