"""A row of the leaderboard and its JSON schema: one `result.json` per run folder is the database."""

import json
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsonschema import ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from genarena.errors import UserError
from genarena.files.atomic import replace_atomically

SCHEMA_VERSION = 1
LIBRARIES = ("genarena", "torch", "pytorch-lightning", "hydra-core", "torchmetrics", "torch-fidelity", "numpy")


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of a row (`src/genarena/result.schema.json`)."""
    return json.loads((Path(__file__).parent / "result.schema.json").read_text())


@cache
def _validator() -> Validator:
    return validator_for(schema())(schema())


def _validate(row: Any) -> None:
    """Raises ValidationError. The schema is checked once, not once per row."""
    error = best_match(_validator().iter_errors(row))
    if error is not None:
        raise error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


def write_row(row: dict[str, Any], path: Path) -> None:
    """Validate and write atomically; a NaN is refused (JSON has none: the caller says null with a reason)."""
    _validate(row)
    text = json.dumps(row, indent=2, allow_nan=False) + "\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text))


def read_row(path: Path) -> dict[str, Any]:
    """Raises UserError in one line when the file is missing, truncated or no row."""
    try:
        row = json.loads(path.read_text(), parse_constant=_refuse_constant)
        _validate(row)
    except (OSError, ValueError, ValidationError) as error:
        message = error.message if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{path} is not a row of the leaderboard: {message.splitlines()[0]}") from error
    return row


def is_finished(path: Path) -> bool:
    """Whether there is a row of a run that came to its end. Raises UserError when the file cannot be read."""
    return path.is_file() and read_row(path)["status"] == "ok"


@cache
def environment() -> dict[str, Any]:
    """`versions`, `commit` and `hardware` of this process."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "commit": _commit(),
        "hardware": {"device": device, "threads": torch.get_num_threads(), "system": platform.system()},
    }


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the source tree, with `-dirty` when files differ from it; None outside a checkout."""
    root = Path(__file__).parents[2]
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()
