"""Rows of the leaderboard, checked against a JSON schema: each run folder has a sealed `result.json`. Imports no torch."""

import hashlib
import json
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from genarena.errors import Untrusted, UserError
from genarena.files import foreign
from genarena.files.atomic import replace_atomically
from genarena.runs import schema, seals

SCHEMA_VERSION = 5
ADVICE = f"this genarena reads {SCHEMA_VERSION}: run it again, or use the genarena that made it"
SCHEMA = Path(__file__).parent / "result.schema.json"
SIZE = 4_000_000  # bytes of a row; usually about ten thousand


class OtherVersion(UserError):
    """A row of another version of genarena."""

    def __init__(self, path: Path, version: int) -> None:
        super().__init__(f"{path} is a row of schema version {version}; {ADVICE}")
        self.version = version


def write_row(row: dict[str, Any], path: Path) -> None:
    """Validate a row, write it atomically, and seal it (`<file>.sha256` in the same folder).

    Raises ValueError if it does not match the schema or contains NaN, which JSON does not have: use null and a reason.
    """
    schema.check(row, SCHEMA)
    content = (json.dumps(row, indent=2, allow_nan=False) + "\n").encode()
    with seals.replaced(path, hashlib.sha256(content).hexdigest()):
        replace_atomically(path, lambda temporary: temporary.write_bytes(content))


def check_metric(name: str, record: dict[str, Any]) -> None:
    """Raise ValueError, in one line, if no row could hold this record of a metric."""
    number = record.get("n")
    if record.get("value") is not None and (not isinstance(number, int) or isinstance(number, bool)):
        raise ValueError("its record lacks n, the number of examples" if number is None else f"n is {number!r}")
    schema.check({name: record}, SCHEMA, "metrics")


def read_row(path: Path) -> dict[str, Any]:
    """Read a row. Control characters in its texts are escaped.

    Raises UserError, with one line of text, if the file is missing, truncated or not a row. Raises Untrusted if its seal does
    not match, if it is a link out of its folder, or if it is too large.
    """
    try:
        content = foreign.read(path, SIZE)
        row = foreign.parse_json(content)
        if _is_another(version := row.get("schema_version") if isinstance(row, dict) else None):
            raise OtherVersion(path, version)
        schema.check(row, SCHEMA)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: its run has not finished, and resume=<run folder> goes on") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a row of the leaderboard: {str(error).splitlines()[0]}") from error
    seals.check(hashlib.sha256(content).hexdigest(), path)
    return row


def _is_another(version: Any) -> bool:
    return type(version) is int and 0 < version < 1000 and version != SCHEMA_VERSION


def sound_row(path: Path) -> dict[str, Any] | None:
    """The row; None if it does not exist. If it is damaged, a warning is printed and the result is None."""
    if not os.path.lexists(path):
        return None
    try:
        return read_row(path)
    except (UserError, Untrusted) as error:
        _warn(str(error), os.lstat(path).st_mtime_ns)
        return None


@lru_cache(4096)
def _warn(text: str, changed: int) -> None:
    """Name a damaged row, once per change of its file."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def is_finished(path: Path) -> bool:
    """Whether `path` is a valid row of a finished run."""
    row = sound_row(path)
    return row is not None and row["status"] == "ok"
