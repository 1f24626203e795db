"""A row of the leaderboard and its JSON schema: one sealed `result.json` per run folder is the database. No torch here."""

import hashlib
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import ValidationError
from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from genarena.errors import Untrusted, UserError
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.runs import seals

SCHEMA_VERSION = 1
SIZE = 4_000_000  # bytes of a row; a usual one has ten thousand


@cache
def schema() -> dict[str, Any]:
    """The JSON schema of a row (`result.schema.json`, beside this file)."""
    return json.loads((Path(__file__).parent / "result.schema.json").read_text())


@cache
def _validator() -> Validator:
    return validator_for(schema())(schema())


def _validate(row: Any) -> None:
    """Raises ValidationError. The schema is checked once, not once per row."""
    error = best_match(_validator().iter_errors(row))
    if error is not None:
        raise error


def write_row(row: dict[str, Any], path: Path) -> None:
    """Validate a row, write it whole or not at all, and seal it (`<file>.sha256` beside it).

    A NaN is refused: JSON has none, and the caller says null with a reason.
    """
    _validate(row)
    content = (json.dumps(row, indent=2, allow_nan=False) + "\n").encode()
    with seals.replaced(path, hashlib.sha256(content).hexdigest()):
        replace_atomically(path, lambda temporary: temporary.write_bytes(content))


def read_row(path: Path) -> dict[str, Any]:
    """A row, with control characters in its texts written out.

    Raises UserError in one line when the file is missing, truncated or no row, and Untrusted when its seal does not fit,
    when it is a link out of its folder, or too large.
    """
    try:
        content = foreign.read(path, SIZE)
        row = foreign.parse_json(content)
        _validate(row)
    except (OSError, ValueError, ValidationError) as error:
        message = error.message if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{path} is not a row of the leaderboard: {message.splitlines()[0][:500]}") from error
    seals.check(hashlib.sha256(content).hexdigest(), path)
    return row


def is_finished(path: Path) -> bool:
    """Whether there is a sound row of a run that came to its end; a damaged one is named on stderr and counts as none."""
    if not os.path.lexists(path):
        return False
    try:
        return read_row(path)["status"] == "ok"
    except (UserError, Untrusted) as error:
        print(f"warning: {error}", file=sys.stderr, flush=True)
        return False
