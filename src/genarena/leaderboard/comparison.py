"""What the page holds to compare the settings of two runs: common values once, and for each run what differs from them."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from genarena.leaderboard.runs import Run


def comparable(runs: Sequence[Run]) -> str:
    """JSON that may stand in a `<script>`: {"common": {setting: text}, "runs": [{"anchor", "name", "own": {setting: text}}]}.

    A setting that a run does not have is null in its `own`. Runs whose rows have no settings are left out.
    """
    found = [(run, settings(run.row)) for run in runs]
    found = [(run, values) for run, values in found if values]
    names = sorted({name for _, values in found for name in values})
    common = {name: Counter(values.get(name) for _, values in found).most_common(1)[0][0] for name in names}
    entries = [
        {"anchor": run.anchor, "name": title, "own": {k: v.get(k) for k in names if v.get(k) != common[k]}}
        for (run, v), title in zip(found, _titles([run for run, _ in found]), strict=True)
    ]
    text = json.dumps({"common": common, "runs": entries}, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def settings(row: dict[str, Any]) -> dict[str, str]:
    """Setting -> value as text: the resolved configuration, the sources of the model, and what the machine decides."""
    line = row.get("line") or {}
    given, sources = line.get("settings"), line.get("sources")
    if not isinstance(given, dict):
        return {}
    found = {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}
    if isinstance(sources, dict):
        found |= {f"source of {module}": str(digest)[:8] for module, digest in sources.items()}
    device = row.get("cost", {}).get("device") or row.get("hardware", {}).get("device")
    about = {"seed": row.get("seed"), "commit": row.get("commit"), "device": device}
    return found | {name: str(value) for name, value in about.items() if value is not None}


def _titles(runs: Sequence[Run]) -> list[str]:
    """What a reader chooses runs by: those that would read alike, because only their code differs, also have their folder."""
    titles = [_name(run) for run in runs]
    folders = [str(run.row.get("run", run.folder.name)) for run in runs]
    return [f"{title}, {run}" if titles.count(title) > 1 else title for title, run in zip(titles, folders, strict=True)]


def _name(run: Run) -> str:
    return f"{run.row['data']['id']}: {run.name}, " + ("imported" if run.imported else f"seed {run.seed}")
