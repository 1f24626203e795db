"""Records of metrics as JSON: the only place where tensors, NumPy numbers and NaN are converted."""

import math
from collections.abc import Mapping
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
