"""The simulated corpus on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb
from scipy.io import loadmat

from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.corpus import simulate_corpus, simulate_recording
from xecgnet_jax.errors import ConfigError, CorpusError

RECORDINGS, SEED = 12, 5


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return simulate_corpus(tmp_path_factory.mktemp("simulated") / "corpus", RECORDINGS, SEED, progress=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_corpus_is_read_like_a_challenge_corpus(corpus):
    opened = read_corpus(corpus)
    assert opened.kind == "challenge"
    assert [entry.id for entry in opened.entries] == [f"S{index:05d}" for index in range(1, RECORDINGS + 1)]
    for index, entry in enumerate(opened.entries, start=1):
        made, read = simulate_recording(SEED, index), read_record(entry.path)
        assert CPSC2018.classes_of(entry.codes) == made.classes
        assert (entry.age, entry.sex) == (made.age, made.sex)
        assert read.rate == RATE
        assert np.abs(read.signal - made.signal).max() <= 0.000501  # Half a step of the converter.


def test_wfdb_reads_signals_and_annotations_back(corpus):
    for index in (1, 2, 3):
        made = simulate_recording(SEED, index)
        record = wfdb.rdrecord(str(corpus / f"S{index:05d}"), physical=False)
        assert record.sig_name == list(LEADS)
        assert (record.fs, record.adc_gain, record.units) == (RATE, [1000.0] * 12, ["mV"] * 12)
        assert np.array_equal(record.d_signal, np.rint(made.signal * 1000))
        assert [value % 65536 for value in record.checksum] == record.calc_checksum()
        assert record.init_value == record.d_signal[0].tolist()
        read = wfdb.rdann(str(corpus / f"S{index:05d}"), "atr")
        assert read.fs == RATE
        assert np.array_equal(read.sample, made.annotations.sample)
        assert tuple(read.symbol) == made.annotations.symbol
        assert tuple(note.rstrip("\x00") for note in read.aux_note) == made.annotations.aux


def test_signal_file_is_that_of_the_challenges(corpus):
    content = (corpus / "S00001.mat").read_bytes()
    values = loadmat(corpus / "S00001.mat")["val"]
    assert values.dtype == np.int16
    assert values.shape == (12, len(simulate_recording(SEED, 1).signal))
    assert content[20:24] == b"val\0"
    assert np.array_equal(np.frombuffer(content[24:], "<i2").reshape(-1, 12).T, values)


def test_same_seed_same_bytes_whatever_the_workers(corpus, tmp_path):
    again = simulate_corpus(tmp_path / "again", RECORDINGS, SEED, progress=False, workers=2)
    assert contents(again) == contents(corpus)


def test_other_seed_other_recordings(corpus, tmp_path):
    other = contents(simulate_corpus(tmp_path / "other", 3, SEED + 1, progress=False))
    assert all(content != contents(corpus)[name] for name, content in other.items() if name.endswith(".mat"))


def test_longer_corpus_starts_with_the_shorter_one(corpus, tmp_path):
    shorter = contents(simulate_corpus(tmp_path / "shorter", 3, SEED, progress=False))
    del shorter["simulation.json"]
    assert shorter.items() <= contents(corpus).items()


def test_finished_corpus_is_found_and_not_made_again(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.iterdir()}
    assert simulate_corpus(corpus, RECORDINGS, SEED, progress=False) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.iterdir()} == before


def test_nothing_is_left_beside_the_corpus(corpus):
    assert list(corpus.parent.iterdir()) == [corpus]


def test_empty_folder_is_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    folder = simulate_corpus(tmp_path / "empty", 1, 0, progress=False)
    assert {path.suffix for path in folder.iterdir()} == {".hea", ".mat", ".atr", ".json"}


def test_another_simulated_corpus_is_not_overwritten(corpus):
    before = contents(corpus)
    for recordings, seed in ((RECORDINGS + 1, SEED), (RECORDINGS, SEED + 1)):
        with pytest.raises(CorpusError, match=r"corpus: holds another simulated corpus.*Choose another folder"):
            simulate_corpus(corpus, recordings, seed, progress=False)
    assert contents(corpus) == before


@pytest.mark.parametrize("name, text", [("notes.txt", "mine"), ("simulation.json", "{"), ("simulation.json", "[]")])
def test_foreign_folder_is_not_touched(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(CorpusError, match="holds something else"):
        simulate_corpus(tmp_path, 1, 0, progress=False)
    assert contents(tmp_path) == {name: text.encode()}


def test_corpus_of_another_simulator_is_not_taken(corpus, tmp_path):
    folder = simulate_corpus(tmp_path / "old", 1, 0, progress=False)
    description = json.loads((folder / "simulation.json").read_text())
    (folder / "simulation.json").write_text(json.dumps(description | {"simulator": 0}))
    with pytest.raises(CorpusError, match="another simulated corpus"):
        simulate_corpus(folder, 1, 0, progress=False)


def test_file_in_the_way_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CorpusError, match="file"):
            simulate_corpus(folder, 1, 0, progress=False)


@pytest.mark.parametrize("recordings, seed, workers", [(0, 0, None), (1, -1, None), (1, 0, 0)])
def test_impossible_numbers_are_refused(tmp_path, recordings, seed, workers):
    with pytest.raises(ConfigError):
        simulate_corpus(tmp_path / "corpus", recordings, seed, progress=False, workers=workers)
    assert not (tmp_path / "corpus").exists()


def test_command_works_as_a_module_with_processes(corpus, tmp_path):
    command = [sys.executable, "-m", "xecgnet_jax", "simulate", str(tmp_path / "corpus")]
    options = ["--recordings", str(RECORDINGS), "--seed", str(SEED), "--workers", "2"]
    subprocess.run(command + options, check=True, capture_output=True, cwd=Path(__file__).parents[3])
    assert contents(tmp_path / "corpus") == contents(corpus)
