"""The trained classifiers of standard data sets, which come with the package: every machine measures with the same weights.

Training them on another machine gives other weights, because rounding differs, and distances that differ by about 1e-4. A file
is named by its data id and pinned by its sha256. `python scripts/ship_classifiers.py data=<name> out=<folder>` makes it again.
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
EXACT = "scale"  # the tensor that is not rounded to half precision


class Pin(NamedTuple):
    """recipe: the hash of the recipe of the training. sha256: of the file."""

    recipe: str
    sha256: str


SHIPPED = {
    "fashion_mnist-3af9d540": Pin("0be1ad21", "aba8f70d5bb111affc0046b7fdc78b25e5877a869be3cb830877c9a59eebb80a"),
    "digits-b25f50b4": Pin("0be1ad21", "6a5147186c7ee89330b2f15044a2f9f863deeaeb756dc672ad17ed2a10b65f0a"),
    "mnist-5065399e": Pin("0be1ad21", "3772c61446fc6f23311343de1d78a6631ae7581495fdcde4c4ba05f58a99d477"),
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
    weights = {
        name: value.half() if value.is_floating_point() and name != EXACT else value
        for name, value in stored["weights"].items()
    }
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
