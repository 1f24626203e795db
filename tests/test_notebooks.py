"""Every notebook runs from top to bottom, and is committed without outputs."""

import json
from pathlib import Path

import nbformat
import pytest
from matplotlib import pyplot
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
LONG = ("which_model_is_better",)
OFTEN = [pytest.param(path, marks=pytest.mark.slow) if path.stem in LONG else path for path in NOTEBOOKS]


@pytest.mark.parametrize("path", OFTEN, ids=lambda path: path.stem)
def test_cells_run_one_after_another(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, which has imported torch already."""
    monkeypatch.chdir(path.parent)
    pyplot.switch_backend("agg")
    names = {"__name__": "__main__"}
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells):
        exec(compile(cell.source, f"{path.name}, code cell {number}", "exec"), names)
    pyplot.close("all")
    assert cells


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_in_a_kernel(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(path.parent)}}).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stripped(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
