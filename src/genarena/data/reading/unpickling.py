"""Safe reading of the pickles in which CIFAR is published.

Nothing that a pickle names is imported. Two classes that keep raw bytes replace numpy's constructors, because a crafted
pickle could make numpy's own corrupt memory. The unpickler is the one in Python, because a crafted pickle could make the
one in C allocate huge tables.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from genarena.errors import DataError, Untrusted


class _Dtype:
    """Takes the place of numpy.dtype; only single bytes are supported."""

    def __init__(self, code: str = "", *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Ignored: byte order and alignment, which single bytes do not have."""


class _Array:
    """Takes the place of numpy.ndarray and its constructor; `value` is the array once its state is set."""

    def __init__(self, *_: Any) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or dtype.code not in ("u1", "|u1", "uint8"):
            raise ValueError("an array that does not hold bytes")
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        if not isinstance(raw, bytes):
            raise ValueError("an array without its bytes")
        self.value = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _OnlyArrays(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> type:
        if (module, name) not in STAND_INS:
            raise Untrusted(f"the pickle asks for {module}.{name}")
        return STAND_INS[module, name]


def load_arrays(path: Path) -> dict[str, Any]:
    """The dictionary in a file, with uint8 arrays. Raises Untrusted if it names another class, DataError if damaged."""
    try:
        with open(path, "rb") as file:
            content = _OnlyArrays(file, encoding="latin1").load()
        return {key: value.value if isinstance(value, _Array) else value for key, value in content.items()}
    except Untrusted as error:
        raise Untrusted(f"{path} is not read: {error}") from error
    except Exception as error:  # a damaged pickle raises any kind
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is damaged ({type(error).__name__}: {reason}): remove it and try again") from error
