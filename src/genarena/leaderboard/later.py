"""Later evaluations of a run, `<run folder>/evaluations/*.json`: more metrics of its own line, or other seeds of sampling."""

from pathlib import Path
from typing import Any

from genarena.errors import ArenaError, UserError
from genarena.runs.results import read_row


def evaluations_of(row: dict[str, Any], folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of later evaluations in `folder`, and a text per file that is left out."""
    later, complaints = [], []
    for path in sorted(folder.glob("*.json")):
        try:
            again = read_row(path)
            if again.get("run") != row.get("run"):
                raise UserError(f"{path} is not an evaluation of this run but of {again.get('run')}")
            if again["line"]["settings"] != row["line"]["settings"]:
                raise UserError(
                    f"{path} is about another line than its run: of another sampler, it belongs in a folder, "
                    f"{folder.name}/<name>/result.json"
                )
            if again["data"]["split"] == "val":
                raise UserError(f"{path} is about the validation split, and no result")
        except ArenaError as error:
            complaints.append(str(error))
            continue
        later.append(again)
    return later, complaints
