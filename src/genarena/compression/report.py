"""Compresses images with a model, and measures bits/dim for a row: the model's claim, the file, PNG, WebP."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genarena.compression.file import HEADER_BYTES, Codec
from genarena.compression.pictures import FORMATS, picture_bits_per_dim
from genarena.errors import Untrusted, UserError
from genarena.files.atomic import replace_atomically
from genarena.files.progress import Bars
from genarena.likelihood import bits_per_dim
from genarena.models.base import GenerativeModel
from genarena.runs import results
from genarena.runs.folder import RunFolder

BATCH = 500


def measure(codec: Codec, x: Tensor, out: Path, bars: Bars, seed: int = 0) -> dict[str, Any]:
    """Write images (N, C, H, W), uint8 levels, to `out`, read the file, decode it and compare.

    seed: of the Monte-Carlo draws of the model's own likelihood. Returns a record for `metrics` in a row: `value`, the
    bits/dim of the whole file, and those of the model's likelihood, PNG and WebP. Raises Untrusted if the decoded images
    differ in any pixel, UserError if `out` cannot be written.
    """
    model, coder = codec.model, codec.coder
    claimed = _claimed(model, x, seed, bars)
    started = time.perf_counter()
    content = codec.compress(x, bars)
    encoded = time.perf_counter()
    try:
        replace_atomically(out, lambda temporary: temporary.write_bytes(content))
        content = out.read_bytes()
    except OSError as error:
        raise UserError(f"out={out} cannot be written: {error.strerror}") from error
    read = time.perf_counter()
    if not torch.equal(codec.decompress(content, bars), x.cpu()):
        out.unlink(missing_ok=True)
        raise Untrusted(f"{out} did not decode to the images that were written, and was removed")
    seconds = {"encode_seconds": round(encoded - started, 3), "decode_seconds": round(time.perf_counter() - read, 3)}
    return {
        "value": 8.0 * len(content) / x.numel(),
        "n": len(x),
        "claimed": claimed,
        "claimed_likelihood": model.likelihood.value,
        "likelihood": "none",
        **{name: picture_bits_per_dim(x.cpu(), model.spec.num_levels, name, bars) for name in FORMATS},
        "lossless": True,
        "file_bytes": len(content),
        "header_bytes": HEADER_BYTES,
        "initial_bits": coder.initial_bits,
        "coder": f"{coder.name} (constriction {version('constriction')})",
        **seconds,
        "title": "bits/dim on disk",
        "unit": "bits/dim",
        "higher_is_better": False,
    }


def add_to_row(folder: RunFolder, record: dict[str, Any]) -> None:
    """Add the record to the metrics in the row of a finished run; does nothing for any other run."""
    with folder.locked():
        if not folder.result.exists():
            return
        row = results.read_row(folder.result)
        if row["status"] == "ok":
            row["metrics"]["bits_on_disk"] = record
            results.write_row(row, folder.result)


def _claimed(model: GenerativeModel, x: Tensor, seed: int, bars: Bars) -> float:
    """Mean bits/dim of the images by `log_prob`: exact, or a bound with one draw per image."""
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(seed)
        parts = [
            model.log_prob(part.to(model.device)).double() for part in bars.track(x.split(BATCH), "log-likelihood")
        ]
    return bits_per_dim(torch.cat(parts), model.spec.num_dims).mean().item()
