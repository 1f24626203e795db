"""Sound as a FLAC file, which predicts each sample from those before it and knows no mel: the floor of bits per sample."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genarena.errors import Untrusted, UserError
from genarena.files.atomic import replace_atomically
from genarena.spec import MAX_LEVELS, DataSpec

HALF = MAX_LEVELS // 2


def flac(x: Tensor, sample_rate: int) -> bytes:
    """The file of segments (N, 1, T), int32 levels of 16 bits, one after the other, at the highest effort."""
    import soundfile

    file = io.BytesIO()
    samples = (x.reshape(-1) - HALF).numpy().astype(np.int16)
    soundfile.write(file, samples, sample_rate, "PCM_16", format="FLAC", compression_level=1.0)
    return file.getvalue()


def samples_of(content: bytes) -> Tensor:
    """(T,) int32 levels of a file."""
    import soundfile

    return torch.from_numpy(soundfile.read(io.BytesIO(content), dtype="int16")[0].astype(np.int32)) + HALF


def measure_flac(x: Tensor, spec: DataSpec, out: Path) -> dict[str, Any]:
    """Write segments (N, 1, T) to `out`, read the file and compare: `value`, bits per sample of the whole file, and facts.

    Raises UserError for data that is no sound of 16 bits and one channel, and if `out` cannot be written; Untrusted if the file
    holds other samples.
    """
    if not spec.is_playable:
        raise UserError(f"coder=flac: takes sound of one channel and 16 bits, not data of shape {spec.shape}")
    try:
        replace_atomically(out, lambda temporary: temporary.write_bytes(flac(x, spec.sample_rate)))
        content = out.read_bytes()
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error.strerror}") from error
    if not torch.equal(samples_of(content), x.reshape(-1)):
        out.unlink(missing_ok=True)
        raise Untrusted(f"{out} did not decode to the sound that was written, and was removed")
    return {"value": 8.0 * len(content) / x.numel(), "n": len(x), "file_bytes": len(content), "lossless": True}
