"""The Python of README.md and of pages of docs/ runs as it stands, but for names of the reader's own folders."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import learnable_corpus
from tests.data.small_corpus import write_record
from tests.learnable_corpus import CONFIG
from xecgnet_jax import XECGNet, fit, open_corpus
from xecgnet_jax.config import PRESETS
from xecgnet_jax.data.simulation.recording import simulate_recording

pytestmark = pytest.mark.ci

ROOT = Path(__file__).resolve().parents[1]


def blocks(path: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a corpus and two finished runs in it, and a preset and a network that are quick."""
    learnable_corpus.write(tmp_path / "PTBXL_FOLDER", recordings=24, longest=900)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    quick = dataclasses.replace(CONFIG, epochs=1)
    monkeypatch.setitem(PRESETS, "quick", quick)
    monkeypatch.setattr("xecgnet_jax.model.XECGNet", lambda: XECGNet(width=0.0625))
    dataset = open_corpus("PTBXL_FOLDER", quick.data, workers=1, progress=False)
    fit(quick, dataset, "runs/other", progress=False)
    shutil.copytree("runs/other", "runs/mine")
    return tmp_path


def test_the_readme(place):
    names: dict = {}
    (code,) = blocks("README.md")
    exec(compile(code, "README.md", "exec"), names)
    assert names["outputs"].responses.shape == (2, 12, 9) and names["terms"].keys() >= {"alignment"}


def test_the_page_of_python(place):
    names: dict = {}
    for code in blocks("docs/python.md"):
        exec(compile(code, "docs/python.md", "exec"), names)
    assert names["outputs"].responses.shape == (2, 12, 9) and names["terms"].keys() >= {"alignment"}
    assert 0 <= names["metrics"]["micro"]["f1"] <= 1
    assert (place / "runs/mine/evaluation/PTBXL_FOLDER-test/metrics.json").exists()
    found = names["found"]
    assert found.probabilities.shape == (9,) and set(found.label_sets) <= set(names["run"].classes)
    assert found.maps.responses.shape == (len(found.maps.edges) - 1, 9)


def test_predicting_a_file_in_the_docs(tmp_path, monkeypatch, capsys):
    (tmp_path / "ecg").mkdir()
    signal = simulate_recording(5, 0, frozenset({"AF"}), duration_s=10).signal
    write_record(tmp_path / "ecg", "0017", np.round(1000 * signal).astype(np.int16))
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("docs/prediction.md")
    exec(compile(code, "docs/prediction.md", "exec"), {})
    assert "('AF',)" in capsys.readouterr().out


@pytest.mark.slow
def test_the_network_in_nnx():
    names: dict = {}
    (code,) = blocks("docs/nnx.md")
    exec(compile(code, "docs/nnx.md", "exec"), names)
    assert np.isfinite(names["loss"]) and names["predicted"].shape == (2, 9)
