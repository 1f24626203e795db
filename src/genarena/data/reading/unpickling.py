"""The pickles in which CIFAR is published, read without giving a pickle what it wants.

Nothing that a pickle names is imported: numpy's constructors are replaced by two classes that keep raw bytes, since numpy's
own can be talked into corrupting memory. The machine is pickle's Python one, which has no tables to blow up.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from genarena.errors import DataError, Untrusted


class _Dtype:
    """Stands for numpy.dtype: single bytes are all that is read."""

    def __init__(self, code: str = "", *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, which bytes have not."""


class _Array:
    """Stands for numpy.ndarray and what makes one; `value` once its state came."""

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
    """The dictionary in a file, its arrays uint8. Raises Untrusted when it asks for more, DataError when it is damaged."""
    try:
        with open(path, "rb") as file:
            content = _OnlyArrays(file, encoding="latin1").load()
        return {key: value.value if isinstance(value, _Array) else value for key, value in content.items()}
    except Untrusted as error:
        raise Untrusted(f"{path} is not read: {error}") from error
    except Exception as error:  # whatever a damaged pickle makes of the machine that reads it
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is damaged ({type(error).__name__}: {reason}): remove it and try again") from error
