"""The trained classifiers of standard data sets, which come with the package: every machine measures with the same weights.

A file is named by its data id and pinned by its sha256. `python scripts/ship_classifiers.py data=<name> out=<folder>` makes it
again: training in float64 and rounding to half precision gives the same weights on other processors with AVX2 or AVX-512.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import torch as safetensors

from genarena.errors import Untrusted
from genarena.evaluation.classifier import recipe_hash
from genarena.files.atomic import replace_atomically

FOLDER = Path(__file__).parent / "shipped_classifiers"
NUMBERS = ("accuracy", "skill", "probe")


class Pin(NamedTuple):
    """recipe: the hash of the recipe of the training. sha256: of the file."""

    recipe: str
    sha256: str


SHIPPED = {
    "fashion_mnist-3af9d540": Pin("91751f91", "a3541c5bab899837e4a80d4ceeca93b8fde3519563e6c52775be051a3e9c79f5"),
    "digits-b25f50b4": Pin("91751f91", "64ed6a92834f6d6d4c181eded56752297672908366609644ddf5c50c729aec80"),
    "mnist-5065399e": Pin("91751f91", "c825dbf98e09aab4bd2bc023f5d6f09afda667f9da3572033235eb42cd1562b1"),
}


def shipped(data_id: str) -> dict[str, Any] | None:
    """Weights and facts of the classifiers of a data set, as `trained` returns them; None if they are not in the package or
    are of another recipe. Raises Untrusted for a file that was changed."""
    pin = SHIPPED.get(data_id)
    if pin is None or pin.recipe != recipe_hash():
        return None
    path = FOLDER / f"{data_id}.safetensors"
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != pin.sha256:
        raise Untrusted(f"{path} is not the file that came with genarena: install it again")
    return _unpacked(content)


def write(stored: dict[str, Any], path: Path) -> str:
    """Write what `trained` returned; the sha256 of the file."""
    weights = {name: value.half() if value.is_floating_point() else value for name, value in stored["weights"].items()}
    numbers = json.dumps({name: stored[name] for name in NUMBERS}).encode()
    weights["numbers"] = torch.frombuffer(bytearray(numbers), dtype=torch.uint8)
    content = safetensors.save(weights)
    replace_atomically(path, lambda temporary: temporary.write_bytes(content))
    return hashlib.sha256(content).hexdigest()


def _unpacked(content: bytes) -> dict[str, Any]:
    weights = safetensors.load(content)
    numbers = json.loads(weights.pop("numbers").numpy().tobytes())
    widened = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    return {"weights": widened, **numbers}
