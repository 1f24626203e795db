"""Says in words what differs: between lines of one name, and between columns of one metric."""

from collections.abc import Mapping, Sequence
from typing import Any

from genarena.leaderboard.lines import Line
from genarena.runs.line import dotted

MOST = 4  # differences that are named
LONGEST = 40  # characters of a value


def what_differs(lines: Sequence[Line]) -> list[str]:
    """For each line, the settings and sources in which these lines differ, with its own values; all texts are different."""
    flat = []
    for line in lines:
        identity = line.runs[0].row["line"]
        sources = {f"source of {_file(module)}": digest[:6] for module, digest in identity["sources"].items()}
        flat.append({**identity["settings"], **sources})
    texts = [", ".join(each) for each in _own_values(flat)]
    ids = [line.runs[0].row["line"]["id"] for line in lines]
    return [f"{text}, line {own}" if texts.count(text) > 1 else text for text, own in zip(texts, ids, strict=True)]


def what_differs_from(rules: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """In what the protocol of a metric differs from the usual one."""
    here, there = dotted(rules), dotted(usual)
    found = []
    for name in sorted({*here, *there} - {"id", "metric"}):
        if here.get(name) == there.get(name):
            continue
        kind, _, own = name.partition(".")
        if name == "code":
            found.append("computed by another version of genarena")
        elif kind == "networks":
            found.append(f"other weights of {own}")
        else:
            found.append(f"{own or kind} {_shown(here.get(name))}, not {_shown(there.get(name))}")
    return "; ".join(_cut(found)) or "another protocol"


def told_apart(titles: Sequence[tuple[str, str]]) -> list[str]:
    """Titles of columns, (title, key) each, with the key behind those that several columns have."""
    found = [title for title, _ in titles]
    return [f"{title} [{key}]" if found.count(title) > 1 else title for title, key in titles]


def _own_values(flat: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    names = dict.fromkeys(name for each in flat for name in each)
    differing = [name for name in names if any(each.get(name) != flat[0].get(name) for each in flat)]
    sources = [name for name in differing if name.startswith("source of ")]
    settings = [name for name in differing if name not in sources]
    return [_cut([f"{name} {_shown(each.get(name))}" for name in (*settings, *sources)]) for each in flat]


def _cut(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MOST + 1 else [*texts[:MOST], f"and {len(texts) - MOST} more"]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _file(module: str) -> str:
    """`models/vae/vae.py` for a module of genarena."""
    return module.removeprefix("genarena.").replace(".", "/") + ".py"
