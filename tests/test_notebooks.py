"""The notebooks run from top to bottom, and hold what a run of them makes."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["multilabel_evaluation", "quickstart"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    kept = [shown(cell) for cell in notebook.cells]
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    made = [shown(cell) for cell in notebook.cells]
    assert kept == made, "the notebook holds outputs of another version: run it again and save it"
    assert any("image/png" in kinds for kinds in made)
    assert not any(tmp_path.iterdir())  # it writes to a temporary folder of its own


def shown(cell) -> list[str]:
    """Kinds of a cell's outputs; figures differ from machine to machine, and text may come in several pieces."""
    return sorted({kind for output in cell.get("outputs", []) for kind in output.get("data", {output.output_type: ""})})
