"""The pickles in which CIFAR is published, read without giving a pickle what it wants: only numpy's arrays are made."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from genarena.errors import DataError, Untrusted

ARRAYS = {
    (module, name): made
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name, made in {"_reconstruct": np._core.multiarray._reconstruct, "scalar": np._core.multiarray.scalar}.items()
} | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}


class _OnlyArrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ARRAYS:
            raise Untrusted(f"the pickle asks for {module}.{name}")
        return ARRAYS[module, name]


def load_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a file. Raises Untrusted when it asks for anything but arrays, DataError when it is damaged."""
    try:
        with open(path, "rb") as file:
            content = _OnlyArrays(file, encoding="latin1").load()
    except Untrusted as error:
        raise Untrusted(f"{path} is not read: {error}") from error
    except Exception as error:  # whatever a damaged pickle makes of the machine that reads it
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): remove it and try again") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is damaged: it holds no dictionary")
    return content
