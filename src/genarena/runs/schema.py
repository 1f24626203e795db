"""Checks JSON values against a schema. Imports no torch."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema.exceptions import best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

LENGTH = 300  # characters of an error text, which may quote the whole file


def check(value: Any, schema: Path, part: str | None = None) -> None:
    """Raise ValueError, with one line of text, if `value` does not match the schema in the file `schema`.

    part: a property at the top of the schema, if `value` is only this part.
    """
    error = best_match(_validator(schema, part).iter_errors(value))
    if error is not None:
        where = "".join(f"{part}: " for part in error.absolute_path)
        raise ValueError(f"{where}{error.message.splitlines()[0][:LENGTH]}")


@cache
def _validator(schema: Path, part: str | None) -> Validator:
    content = json.loads(schema.read_text())
    if part:
        content = content["properties"][part] | {"$defs": content["$defs"]}
    return validator_for(content)(content)
