"""The notebooks run from top to bottom, and hold what a run of them makes."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.ci

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == ["multilabel_evaluation", "quickstart"]


#: What makes the same notebook with a smaller network and fewer recordings.
SMALLER = {
    "recordings=480": "recordings=120",
    'preset("quick")': "replace(preset('quick'), epochs=1, model=ModelConfig(width=0.0625, activation='relu'))",
    "several[np.argmax(exact[several])]": "0",
    "import tempfile": "import tempfile\nfrom dataclasses import replace\nfrom xecgnet_jax.config import ModelConfig",
}


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem == "quickstart" else []) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    """The quick start with a smaller network, see below."""
    run_notebook(path, tmp_path, SMALLER if path.stem == "quickstart" else {})


@pytest.mark.slow
def test_the_quick_start_runs_as_it_stands(tmp_path):
    run_notebook(NOTEBOOKS[-1], tmp_path, {})


def run_notebook(path: Path, folder: Path, changes: dict[str, str]) -> None:
    notebook = nbformat.read(path, as_version=4)
    kept = [shown(cell) for cell in notebook.cells]
    for old, new in changes.items():
        assert any(old in cell.source for cell in notebook.cells), old
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    made = [shown(cell) for cell in notebook.cells]
    assert kept == made, "the notebook holds outputs of another version: run it again and save it"
    assert any("image/png" in kinds for kinds in made)
    assert not any(folder.iterdir())  # it writes to a temporary folder of its own


def shown(cell) -> list[str]:
    """Kinds of a cell's outputs; figures differ from machine to machine, and text may come in several pieces."""
    return sorted({kind for output in cell.get("outputs", []) for kind in output.get("data", {output.output_type: ""})})
