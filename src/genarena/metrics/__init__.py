"""The protocol's measurements: one torchmetrics `Metric` per file, found by its file name.

`metrics=[recall]` loads `recall.py`. A metric's `update` names what it needs; `genarena.evaluation.evidence`
lists what there is to ask for. `names` and `check` answer without importing torch, so a typo fails before anything is loaded.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path


def names() -> list[str]:
    """Every metric there is: the files of this folder, sorted."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in ("__init__", "base"))


def check(metrics: Sequence[str]) -> list[str]:
    """The metrics, each once, in the given order; raises ValueError when one does not exist."""
    if isinstance(metrics, str):
        raise ValueError(f"metrics={metrics!r}: expected a list, e.g. metrics=[{metrics}]")
    known = names()
    for name in metrics:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"metrics={name}: no such metric; {hint}")
    return list(dict.fromkeys(metrics))
