"""A row of the leaderboard and its JSON schema: one sealed `result.json` per run folder is the database. No torch here."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from genarena.errors import Untrusted, UserError
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.runs import schema, seals

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).parent / "result.schema.json"
SIZE = 4_000_000  # bytes of a row; a usual one has ten thousand


def write_row(row: dict[str, Any], path: Path) -> None:
    """Validate a row, write it whole or not at all, and seal it (`<file>.sha256` beside it).

    Raises ValueError for what is no row. A NaN is refused: JSON has none, and the caller says null with a reason.
    """
    schema.check(row, SCHEMA)
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
        schema.check(row, SCHEMA)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a row of the leaderboard: {str(error).splitlines()[0]}") from error
    seals.check(hashlib.sha256(content).hexdigest(), path)
    return row


def sound_row(path: Path) -> dict[str, Any] | None:
    """The row, None where there is none; a damaged one is named on stderr and counts as none."""
    if not os.path.lexists(path):
        return None
    try:
        return read_row(path)
    except (UserError, Untrusted) as error:
        print(f"warning: {error}", file=sys.stderr, flush=True)
        return None


def is_finished(path: Path) -> bool:
    """Whether there is a sound row of a run that came to its end."""
    row = sound_row(path)
    return row is not None and row["status"] == "ok"
