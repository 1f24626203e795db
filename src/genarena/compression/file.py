"""The format: a header of 32 bytes, little-endian, then the words of a coder.

    3 bytes  "gab"                       2 x 3    C, H, W
    1        version                     2        number of levels - 1
    4        hash of the data id         4        CRC-32 of the decoded levels
    4        hash of configuration and weights of the model
    4        number of images            4        CRC-32 of all the above and of the words

The hashes identify the data set and the model that the file needs; the model itself is not in the file.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genarena.compression.bits_back import BitsBackCoder
from genarena.compression.coder import NOT_OURS, Coder
from genarena.compression.range_coding import RangeCoder
from genarena.errors import Untrusted, UserError
from genarena.files.progress import Bars
from genarena.models.base import GenerativeModel
from genarena.models.capabilities import Factorises, Infers

MAGIC, VERSION = b"gab", 2
FACTS, CHECKSUM = struct.Struct("<3sB4s4sI3HHI"), struct.Struct("<I")
HEADER_BYTES = FACTS.size + CHECKSUM.size


def coder_for(model: GenerativeModel) -> Coder:
    """The coder that fits a model. Raises UserError for a model or data that cannot be coded."""
    name = type(model).__name__
    if not model.spec.is_image or not model.spec.is_discrete:
        raise UserError(
            f"{name} was trained on data of shape {model.spec.shape} with num_levels="
            f"{model.spec.num_levels}: only images of integer levels can be compressed"
        )
    if model.spec.condition:
        raise UserError(
            f"{name} is conditional on {model.spec.condition.kind}: only p(x) without a condition compresses"
        )
    if isinstance(model, Factorises) and model.factorises:
        return RangeCoder(model)
    if isinstance(model, Infers):
        return BitsBackCoder(model)
    raise UserError(
        f"{name} cannot compress: that takes an autoregressive model (of one mask) or a variational autoencoder"
    )


def model_hash(config: dict[str, Any], model: GenerativeModel) -> bytes:
    """A hash of 4 bytes over the model's configuration `config` and all its weights."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()[:4]


class Codec:
    """Files of images for one model and one data set. The model's weights must not change after construction."""

    def __init__(self, model: GenerativeModel, config: dict[str, Any], data_id: str) -> None:
        """model: in eval mode. config: its configuration. Raises UserError for a model that cannot compress."""
        self.model, self.coder = model, coder_for(model)
        self.data_id, self.hashed = data_id, model_hash(config, model)

    def compress(self, x: Tensor, bars: Bars) -> bytes:
        """The content of a file of images (N, C, H, W), uint8 levels.

        Raises UserError if `x` has another shape or levels than the model's data, or a probability is not finite.
        """
        spec = self.model.spec
        if tuple(x.shape[1:]) != spec.shape or len(x) < 1 or int(x.max()) >= spec.num_levels:
            raise UserError(
                f"images of shape {tuple(x.shape)}: expected at least one of {spec.shape}, levels below {spec.num_levels}"
            )
        with _reproducible():
            words = self.coder.encode(x.to(self.model.device), bars).astype("<u4").tobytes()
        belongs_to = _short_hash(self.data_id), self.hashed
        facts = FACTS.pack(MAGIC, VERSION, *belongs_to, len(x), *spec.shape, spec.num_levels - 1, _checksum(x))
        return facts + CHECKSUM.pack(zlib.crc32(facts + words)) + words

    def decompress(self, content: bytes, bars: Bars) -> Tensor:
        """The images of a file, (N, C, H, W) uint8 on the CPU.

        Raises Untrusted for a damaged file, or if this machine decodes it to other pixels; UserError for a file of another
        version, data set or model.
        """
        num_images, pixels = self._checked_header(content)
        words = np.frombuffer(content[HEADER_BYTES:], "<u4").astype(np.uint32)
        with _reproducible():
            x = self.coder.decode(words, num_images, bars)
        if _checksum(x) != pixels:
            raise Untrusted(NOT_OURS)
        return x

    def _checked_header(self, content: bytes) -> tuple[int, int]:
        """Number of images and CRC-32 of their levels. Raises as `decompress`."""
        if content[: len(MAGIC)] != MAGIC:
            raise Untrusted("this is not a file of compressed images")
        version = content[len(MAGIC)] if len(content) > len(MAGIC) else VERSION
        facts, checksum, words = content[: FACTS.size], content[FACTS.size : HEADER_BYTES], content[HEADER_BYTES:]
        sound = len(content) >= HEADER_BYTES and checksum == CHECKSUM.pack(zlib.crc32(facts + words))
        if version < VERSION or (sound and version != VERSION):  # older headers had their checksum elsewhere
            raise UserError(f"the file of compressed images has version {version}, and this genarena reads {VERSION}")
        if not sound:
            raise Untrusted("the file of compressed images is damaged: its checksum is wrong")
        _, _, data, weights, num_images, *shape, last_level, pixels = FACTS.unpack(facts)
        if data != _short_hash(self.data_id):
            raise UserError(f"the compressed images are not of the data set {self.data_id}")
        spec = self.model.spec
        if weights != self.hashed or (*shape, last_level + 1) != (*spec.shape, spec.num_levels):
            raise UserError("the images were compressed with another model, or with other weights of it")
        return num_images, pixels


def _checksum(x: Tensor) -> int:
    return zlib.crc32(x.cpu().contiguous().numpy().tobytes())


def _short_hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:4]


@contextmanager
def _reproducible() -> Iterator[None]:
    """One thread and no gradients inside this context, so that sums are always computed in the same order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
