"""The identity of a line: what the seeds of one line of a table have in common. Imports no torch.

It is the resolved configuration, whatever was typed, and the source of the model. Seeds and paths are not in it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from genarena.runs import first_stage, provenance
from genarena.runs.past import pinned

PARTS = ("model", "data", "budget", "callbacks")
NOT_IN_IT = {  # the data has an id of its own; metrics and their sizes are part of the protocols
    "model": ("spec",),
    "data": ("spec", "root", "path", "seed"),
    "budget": ("name", "metrics", "num_samples", "num_test"),
}
NAMED_ELSEWHERE = ("sampler", "net")  # parts of a configuration that are also options of the model
Line = dict[str, Any]


def of_run(resolved: Mapping[str, Any], data_id: str, trained: Mapping[str, Any]) -> Line:
    """`id`, a hash of `settings` (dotted name -> value) and `sources` (module -> sha256).

    trained: how the network is trained on this machine: `precision`; and what else changes how far a budget in minutes reaches
    (threads, ranks, compilation, memory layout), which only counts under such a budget.
    """
    parts = {part: _without(node, NOT_IN_IT.get(part, ())) for part, node in pinned(dict(resolved), PARTS).items()}
    for name in NAMED_ELSEWHERE:
        if resolved.get(name) and parts["model"].get(name) == resolved[name]:
            parts[name] = parts["model"].pop(name)
    if first := resolved.get(first_stage.OPTION):
        parts["model"][first_stage.OPTION] = first["line"], first.get("line_id")
    if earlier := resolved.get("extended"):
        parts["budget"]["extended"] = [_without(each, ("examples_seen",)) for each in earlier]
    timed = resolved["budget"]["minutes"] is not None
    parts["trainer"] = trained if timed else {"precision": trained["precision"]}
    settings = dotted(parts) | {"data.id": data_id}
    return _identified(
        settings, provenance.sources(_targets({part: resolved.get(part) for part in ("model", "sampler")}))
    )


def with_sampler(line: Line, node: Mapping[str, Any]) -> Line:
    """The line of the same weights under another sampler, whose source is that of today."""
    before = ("sampler.", "model.sampler.")
    kept = {name: value for name, value in line["settings"].items() if not name.startswith(before)}
    return _identified(kept | dotted({"sampler": node}), line["sources"] | provenance.sources(_targets(node)))


def of_stored(line: Line, resolved: Mapping[str, Any]) -> Line:
    """The line of a stored run as its `config.yaml` and the sources of today have it. It is equal to `line`, that of the row,
    unless one of them was changed since."""
    settings = line["settings"]
    trained = {name.removeprefix("trainer."): settings[name] for name in settings if name.startswith("trainer.")}
    return of_run(resolved, settings["data.id"], trained)


def of_images(name: str) -> Line:
    """The line of images made elsewhere."""
    return _identified({"imported": name}, {})


def _identified(settings: dict[str, Any], sources: dict[str, str]) -> Line:
    content = json.loads(json.dumps({"settings": settings, "sources": sources}), parse_float=_number)
    return {"id": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8], **content}


def _number(text: str) -> float:
    """1.0 as 1: both are typed for the same value."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e15 else value


def _without(node: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in names}


def dotted(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf."""
    found = {}
    for key, value in node.items():
        name = f"{prefix}{key}"
        found |= dotted(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _targets(node: Any) -> Iterator[str]:
    """Every `_target_` in a node."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _targets(value)
