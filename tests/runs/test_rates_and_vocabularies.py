"""One small network at another rate, of other classes and other poolings, from the corpus to the exported file."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from tests import learnable_corpus
from xecgnet_jax.cli.main import main
from xecgnet_jax.data.dataset import open_corpus
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.splits import Split, read_patients, read_split, write_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.export.archive import describe
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.runs.predictions import made_with, predict_part, rows_of

pytestmark = pytest.mark.ci

#: Classes of one's own in an order of their own; the corpus writes their codes.
CLASSES_FILE = "class,code\nwide,RBBB\nsinus,Normal\nfibrillation,AF\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    learnable_corpus.write(folder / "corpus", recordings=24)
    (folder / "mine.csv").write_text(CLASSES_FILE)
    return folder


@pytest.fixture(scope="module")
def run(place):
    words = ["--data", place / "corpus", "--cache", place / "cache", "--workdir", place / "run", "--no-progress"]
    words += [*learnable_corpus.WORDS, "--rate", "250", "--pools", "3", "2", "2", "1", "1", "--filter", "0.5", "100"]
    words += ["--classes", place / "mine.csv", "--epochs", "1", "--activation", "relu"]
    assert main(["train", *map(str, words)]) == 0
    return place / "run"


def test_the_run_says_what_it_is(run):
    loaded = load_run(run)
    assert loaded.classes == ("wide", "sinus", "fibrillation")
    assert (loaded.signals.rate, loaded.signals.filter, loaded.model.samples_per_bin) == (250.0, (0.5, 100.0), 12)
    assert loaded.variables["params"]["attention_branch"]["responses"]["kernel"].shape[-1] == 3


def test_its_vocabulary_outlives_the_file(run, place, tmp_path):
    """A checkpoint carries it: the corpus is labeled by what the run was trained on, whatever it was opened with."""
    dataset = open_corpus(place / "corpus", load_run(run).config.data, cache=place / "cache", progress=False)
    (place / "mine.csv").rename(tmp_path / "away.csv")
    try:
        loaded = load_run(run)
        metrics = evaluate(loaded, dataset.pack, resamples=100, progress=False)
        where = ["--data", str(place / "corpus"), "--cache", str(place / "cache"), "--output", str(tmp_path / "out")]
        assert main(["evaluate", str(run), *where, "--resamples", "100", "--no-report"]) == 0
        assert json.loads(describe(loaded, None))["run"]["config"]["data"]["classes"] == "mine.csv"  # without a folder
    finally:
        (tmp_path / "away.csv").rename(place / "mine.csv")
    assert list(metrics["per_class"]) == ["wide", "sinus", "fibrillation"]
    tested = [row for row in (place / "corpus/labels.csv").read_text().splitlines() if row.endswith(",3")]
    found = [metrics["per_class"][name]["support"] for name in loaded.classes]
    assert found == [sum(code in row for row in tested) for code in ("RBBB", "Normal", "AF")]


def test_a_file_an_array_and_the_pack_agree(run, place):
    """Read from 500 Hz, resampled and filtered alike; the pack keeps 16 bits."""
    loaded = load_run(run)
    dataset = open_corpus(place / "corpus", loaded.config.data, cache=place / "cache", progress=False)
    of_pack = loaded.predict_rows(dataset.pack, np.arange(4)).probabilities
    signals = [read_record(place / "corpus" / f"R00{row}.hea").signal for row in range(4)]
    np.testing.assert_allclose(loaded.predict(signals, rate=500).probabilities, of_pack, atol=2e-3)
    out = place / "out.csv"
    files = [place / "corpus" / f"R00{row}.hea" for row in range(4)]
    assert main(["predict", str(run), *map(str, files), "--output", str(out), "--cache", str(place / "cache")]) == 0
    header, *lines = out.read_text().splitlines()
    columns = [header.split(",").index(f"probability {name}") for name in loaded.classes]
    written = [[float(line.split(",")[column]) for column in columns] for line in lines]
    np.testing.assert_allclose(written, of_pack, atol=2e-3)


def test_maps_are_in_samples_of_its_rate(run, place):
    signal = read_record(place / "corpus/R000.hea").signal
    found = load_run(run).predict(signal, rate=500, maps=True)
    edges = found.maps.edges
    assert edges[-1] == -(-len(signal) // 2) and set(np.diff(edges[1:])) == {12}
    assert found.maps.responses.shape == (len(edges) - 1, 3)


def test_signals_of_another_rate_are_refused(run, dataset):
    with pytest.raises(CheckpointError, match=r"the network sees .*rate=250.*pack them anew"):
        predict_part(load_run(run), dataset, progress=False)


def test_runs_of_other_classes_are_not_compared(run, finished, place, capsys):
    words = [str(run), str(finished), "--data", str(place / "corpus"), "--cache", str(place / "cache"), "--no-progress"]
    assert main(["compare", *words, "--part", "all"]) == 2
    assert "their classes are those of mine and cpsc2018" in capsys.readouterr().err


def test_a_filter_is_in_no_exported_file(run, capsys, tmp_path):
    assert main(["export", str(run), str(tmp_path / "x.zip")]) == 2
    assert "a file holds no filter" in capsys.readouterr().err


def test_the_corpus_is_counted_by_any_vocabulary(place, capsys):
    assert main(["corpus", str(place / "corpus"), "--classes", str(place / "mine.csv")]) == 0
    out = capsys.readouterr().out
    assert "wide" in out and f"--classes {place / 'mine.csv'}" in out


def test_old_descriptions_have_the_nine_classes(run):
    """Those of older versions name no vocabulary, no rate but 500, and lengths in samples."""
    from pathlib import Path

    from xecgnet_jax.training.description import from_json

    value = json.loads(json.dumps(load_description(run)))
    value["classes"], value["rate"] = list("ABCDEFGHI"), 500
    for name in ("rate", "rate_of_files", "filter", "classes", "min_likelihood", "sample_weights"):
        del value["config"]["data"][name]
    del value["config"]["model"]["pools"], value["vocabulary"]
    value["config"]["data"]["length"] = 729
    del value["config"]["data"]["seconds"]
    value["thresholds"] = value["calibration"] = None
    with pytest.raises(CheckpointError, match="not those of its vocabulary"):
        from_json(value, Path("some"))
    from xecgnet_jax.data.labels import CLASSES

    value["classes"] = list(CLASSES)
    old = from_json(value, Path("some"))
    assert (old.config.data.seconds, old.config.data.rate, old.vocabulary.name) == (1.458, 500.0, "cpsc2018")
    assert jax.tree.leaves(old.config.model.pools) == [3] * 5


def load_description(run):
    from xecgnet_jax.training.checkpoint import SavedCheckpoints

    checkpoints = SavedCheckpoints(run)
    return checkpoints.description(checkpoints.best()).to_json()


@pytest.mark.parametrize(("kind", "rows"), [("ptbxl", [0, 2]), ("wfdb-csv", [])])
def test_patients_of_ptbxl_are_known_at_its_other_rate(tmp_path, kind, rows):
    """Its files have other names at 100 Hz, and the same patients; elsewhere numbers of patients say nothing."""
    split = Split(("00001_hr", "00002_hr"), ("00003_hr",), ("00004_hr",))
    patients = {"00001_hr": "7", "00002_hr": "8", "00003_hr": "9", "00004_hr": "5"}
    write_split(tmp_path / "split.csv", split, patients)
    assert read_split(tmp_path / "split.csv") == split and read_patients(tmp_path / "split.csv") == patients
    run = SimpleNamespace(split_file=tmp_path / "split.csv", initial_file=tmp_path / "initial.csv", data={"kind": kind})
    pack = SimpleNamespace(kind=kind, ids=("00001_lr", "00004_lr", "00009_lr"), patients=("7", "5", "8"))
    trained, seen = made_with(run, split)
    assert rows_of(trained, pack).tolist() == rows and seen == trained | {"00003_hr": "9" if kind == "ptbxl" else ""}


def test_a_part_of_people_that_the_run_has_not_seen(finished, dataset):
    """Its own corpus: all but the training and the validation part."""
    predictions = predict_part(load_run(finished), dataset, part="unseen", name="unseen", progress=False)
    assert set(predictions.ids) == set(dataset.split.test) and predictions.trained_on == 0
