"""Weights that travel: written, read, refused where they are damaged, and used in place of a run."""

import dataclasses
import gzip
import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests import commands as cli
from tests.data.small_corpus import write_record
from tests.learnable_corpus import CONFIG
from xecgnet_jax import load_pretrained, load_run
from xecgnet_jax.cli.predict import split_words
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.data.splits import read_split, write_split
from xecgnet_jax.errors import CheckpointError, SplitError
from xecgnet_jax.files import sealed
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import describe_run
from xecgnet_jax.runs.predictions import predict_part
from xecgnet_jax.runs.weights import DEFAULT, PRETRAINED
from xecgnet_jax.training.loop import fit

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def workdir(finished, tmp_path_factory) -> Path:
    """A run of one's own, into whose folder evaluations may write."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("weights") / "run"))


@pytest.fixture(scope="module")
def saved(workdir) -> Path:
    folder = workdir.parent / "mine"
    load_run(workdir).save_pretrained(folder, split=True)
    return folder


def test_weights_are_the_run(workdir, saved):
    run, again = load_run(workdir), load_run(saved)
    assert again.digest() == run.digest() and again.saved and not run.saved
    assert again.description.to_json() == run.description.to_json() == describe_run(saved).to_json()
    signals = np.random.default_rng(0).normal(0, 0.3, (2, 3000, 12))
    for one, other in zip(run.predict(signals), again.predict(signals), strict=True):
        assert one is None or np.array_equal(one, other)
    assert load_run(saved).calibrate(np.full(9, 0.5)).shape == (9,)


def test_the_file_is_plain_safetensors(workdir, saved):
    run, found = load_run(workdir), load_file(saved / "model.safetensors")
    np.testing.assert_array_equal(
        found["params/backbone/conv_0/kernel"], run.variables["params"]["backbone"]["conv_0"]["kernel"]
    )
    assert sum(array.size for array in found.values()) == sum(np.size(leaf) for leaf in jax.tree.leaves(run.variables))
    assert {file.name for file in saved.iterdir()} == {"model.safetensors", "config.json", "README.md", "split.csv.gz"}


def test_nothing_names_a_recording_unless_asked(workdir, dataset, tmp_path):
    load_run(workdir).save_pretrained(tmp_path / "w")
    assert not (tmp_path / "w" / "split.csv.gz").exists()
    name = dataset.pack.ids[0]
    assert not any(name.encode() in file.read_bytes() for file in (tmp_path / "w").iterdir())


def test_scores_of_weights_are_those_of_the_run(workdir, saved, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {file.name: file.stat().st_mtime_ns for file in saved.iterdir()}
    found = evaluate(saved, dataset, resamples=100, progress=False)
    again = evaluate(workdir, dataset, resamples=100, progress=False)
    for name in ("micro", "subset_accuracy", "calibrated", "groups", "thresholds"):
        assert found[name] == again[name]
    assert {file.name: file.stat().st_mtime_ns for file in saved.iterdir()} == before
    assert [path.parent.name for path in (tmp_path / "runs").glob("mine-*/evaluation/*")] == ["evaluation"]


def test_weights_of_a_listed_split_say_that_they_do_not_know_their_parts(dataset, tmp_path):
    """The list of a --split-file run stays behind: all recordings can be scored, its parts cannot."""
    write_split(tmp_path / "list.csv", dataset.split)
    config = replace(CONFIG, epochs=1)
    config = replace(config, data=replace(config.data, split="file", split_file=str(tmp_path / "list.csv")))
    fit(config, make_dataset(dataset.pack, config.data), tmp_path / "run", progress=False)
    load_run(tmp_path / "run").save_pretrained(tmp_path / "w")
    found = predict_part(load_run(tmp_path / "w"), dataset.pack, part="all", output=tmp_path / "o", progress=False)
    assert len(found.rows) == len(dataset.pack) and found.trained_on is None
    with pytest.raises(CheckpointError, match="do not say which recordings are in it"):
        predict_part(load_run(tmp_path / "w"), dataset.pack, part="test", output=tmp_path / "o", progress=False)


def test_runs_of_one_network_are_compiled_once(workdir, saved):
    assert load_run(workdir)._predict is load_run(saved)._predict


def test_the_card_has_the_metrics_that_are_kept(workdir, dataset, tmp_path):
    metrics = evaluate(workdir, dataset, resamples=100, progress=False)
    load_run(workdir).save_pretrained(tmp_path / "w")
    card = (tmp_path / "w" / "README.md").read_text(encoding="utf-8")
    row, low_high = metrics["micro"], metrics["micro"]["intervals"]["f1"]
    assert f"{row['f1']:.3f} [{low_high[0]:.3f}, {low_high[1]:.3f}]" in card
    for name, support in ((one, metrics["per_class"][one]["support"]) for one in metrics["per_class"]):
        assert f"| {name} | {support} |" in card
    for heading in ("Intended use", "Use", "Training", "Results: ", "Limits", "Cite"):
        assert f"\n## {heading}" in card
    exact = metrics["subset_accuracy"]["multi_label"]
    assert f"| several classes | {exact['recordings']} |" in card
    for name, group in metrics["groups"].items():
        assert f"| {name} | {group['recordings']} |" in card


def broken(saved: Path, tmp_path: Path, change) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(saved, folder)
    change(folder)
    return folder


def flip(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def about(**values):
    def change(folder: Path) -> None:
        path = folder / "config.json"
        table = json.loads(path.read_text()) | values
        with suppress(ValueError):  # infinity has no seal
            table = sealed(table)
        path.write_text(json.dumps(table))

    return change


def about_without_seal(folder: Path) -> None:
    """A digit of the thresholds, or of anything else."""
    path = folder / "config.json"
    path.write_text(path.read_text().replace("0.", "0.1", 1))


def rewrite(make):
    """Other arrays, with the checksum that belongs to them."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        save_file(make(load_file(path)), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        about(sha256=digest)(folder)

    return change


def with_nan(arrays):
    name = "params/backbone/conv_1/kernel"
    return arrays | {
        name: np.where(np.arange(arrays[name].size).reshape(arrays[name].shape) == 3, np.nan, 0.0).astype("f4")
    }


def with_negative_variance(arrays):
    name = "batch_stats/backbone/norm_1/var"
    return arrays | {name: -arrays[name]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (flip, "its checksum is not the one in config.json"),
        (lambda folder: (folder / "config.json").unlink(), "config.json: cannot be read"),
        (lambda folder: (folder / "config.json").write_text("{"), "is damaged or of another version"),
        (about(format="xecgnet-jax weights 9"), "it is of the format 'xecgnet-jax weights 9'"),
        (about(description={}), "description is damaged"),
        (about_without_seal, "is damaged or of another version (its checksum is another)"),
        (about(step=float("inf")), "is damaged or of another version"),
        (lambda folder: (folder / "config.json").write_text("[" * 200_000), "is damaged or of another version"),
        (rewrite(with_negative_variance), "batch_stats/backbone/norm_1/var has variances below 0"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"12345678"), "is not of the size"),
        (rewrite(with_nan), "params/backbone/conv_1/kernel has values that are no numbers"),
        (rewrite(lambda arrays: {name + "x": array for name, array in arrays.items()}), "are not those of the network"),
        (
            rewrite(lambda arrays: {name: array.view("i4") for name, array in arrays.items()}),
            "are not those of the netw",
        ),
    ],
)
def test_damaged_weights_are_refused(saved, tmp_path, change, said):
    folder = broken(saved, tmp_path, change)
    with pytest.raises(CheckpointError, match=str(folder)) as raised:
        load_run(folder)
    assert said in str(raised.value)


def test_a_name_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(CheckpointError, match="this package has no such weights"):
        load_pretrained("xecgnet-unknown")


def test_predict_takes_weights(corpus, saved, tmp_path, capsys):
    recording = next(corpus.rglob("*.hea"))
    status = cli.predict([str(word) for word in (saved, recording, "--output", tmp_path / "mine.jsonl")])
    printed = capsys.readouterr().out
    assert status == 0 and f"weights {saved}" in printed
    (line,) = (tmp_path / "mine.jsonl").read_text().splitlines()
    run = load_run(saved)
    assert list(json.loads(line)["calibrated"]) == list(run.classes)
    status = cli.predict([str(word) for word in (tmp_path / "not-there", recording)])
    said = capsys.readouterr().err
    assert status == 2 and "not-there: is not there" in said and all(name in said for name in PRETRAINED)
    (tmp_path / "empty").mkdir()
    status = cli.predict([str(word) for word in (tmp_path / "empty", recording)])
    said = capsys.readouterr().err
    assert status == 2 and "is no run (it has neither checkpoints nor weights), and holds no recordings" in said


def test_export_writes_weights(workdir, tmp_path, capsys):
    status = cli.export([str(word) for word in (workdir, tmp_path / "w", "--format", "weights")])
    printed = capsys.readouterr().out
    assert status == 0 and "written" in printed
    assert load_run(tmp_path / "w").digest() == load_run(workdir).digest()
    (tmp_path / "file").write_text("mine")
    status = cli.export([str(word) for word in (workdir, tmp_path / "file", "--format", "weights")])
    said = capsys.readouterr().err
    assert status == 2 and "is a file" in said and (tmp_path / "file").read_text() == "mine"


def test_weights_recognize_patients_of_their_run(workdir, saved, dataset, tmp_path, monkeypatch):
    """A corpus that the run was trained on is not scored as if it were new."""
    monkeypatch.chdir(tmp_path)
    run = load_run(saved)
    other = dataclasses.replace(run.description, data=run.data | {"fingerprint": "0"})
    elsewhere = dataclasses.replace(run, description=other)
    with pytest.raises(CheckpointError, match="--part unseen"):
        evaluate(elsewhere, dataset, resamples=100, progress=False)


def test_without_a_split_nothing_is_called_unseen(workdir, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = load_run(workdir)
    run.save_pretrained("w", split=True)
    run.save_pretrained("w")
    assert not Path("w/split.csv.gz").exists()  # of the first time
    weights = load_run("w")
    elsewhere = dataclasses.replace(weights.description, data=run.data | {"fingerprint": "0"})
    weights = dataclasses.replace(weights, description=elsewhere)
    with pytest.raises(CheckpointError, match="do not say which recordings they were made with"):
        predict_part(weights, dataset, part="unseen", progress=False)
    assert predict_part(weights, dataset, part="all", progress=False).trained_on is None
    assert predict_part(run, dataset, part="all", progress=False).trained_on == len(dataset.train)


def test_another_folder_is_not_overwritten(workdir, tmp_path):
    before = (workdir / "config.json").read_bytes()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("mine")
    for folder in (workdir, tmp_path / "mine"):
        with pytest.raises(CheckpointError, match="holds something else than weights"):
            load_run(workdir).save_pretrained(folder)
    assert (workdir / "config.json").read_bytes() == before and (tmp_path / "mine" / "README.md").read_text() == "mine"


def test_the_card_leaves_out_scores_on_recordings_that_the_run_knows(workdir, dataset, tmp_path):
    evaluate(workdir, dataset, part="all", resamples=100, progress=False)
    load_run(workdir).save_pretrained(tmp_path / "w")
    assert "-all" not in (tmp_path / "w" / "README.md").read_text()


def test_settings_in_weights_name_no_folders(workdir, tmp_path):
    run = load_run(workdir)
    data = dataclasses.replace(run.config.data, sample_weights="/home/jane/weights.csv")
    config = dataclasses.replace(run.config, data=data, init="/home/jane/run")
    description = dataclasses.replace(run.description, config=config)
    dataclasses.replace(run, description=description).save_pretrained(tmp_path / "w")
    assert b"jane" not in (tmp_path / "w" / "config.json").read_bytes()
    held = load_run(tmp_path / "w").config
    assert (held.data.sample_weights, held.init) == ("weights.csv", "run")


def test_a_damaged_or_endless_split_is_refused(tmp_path):
    path = tmp_path / "split.csv.gz"
    content = bytearray(gzip.compress(b"id,part\n" + b"a,train\n" * 100))
    content[12] ^= 255
    path.write_bytes(content)
    with pytest.raises(SplitError, match="cannot read this split file"):
        read_split(path)
    path.write_bytes(gzip.compress(bytes(60_000_000)))
    with pytest.raises(SplitError, match="holds more than 50,000,000 bytes"):
        read_split(path)


def test_predict_tells_a_record_without_suffix_from_a_run(corpus, tmp_path):
    header = next(corpus.rglob("*.hea"))
    record = header.with_suffix("")
    assert split_words([record]) == (None, (record,))
    (tmp_path / "config.json").write_text("{}")  # of another program
    assert split_words([tmp_path]) == (None, (tmp_path,))


# ---- the weights of this package


@pytest.mark.parametrize(("name", "classes"), [("xecgnet-cpsc2018", 9), ("xecgnet-superdiagnostic", 5)])
def test_the_weights_of_this_package(name, classes, tmp_path, monkeypatch):
    assert name in PRETRAINED and DEFAULT in PRETRAINED
    run = load_pretrained(name)
    assert len(run.classes) == classes and run.calibration is not None
    assert run.title == f"weights {name} of this package"
    sizes = [(run.workdir / file).stat().st_size for file in ("model.safetensors", "config.json", "README.md")]
    assert sum(sizes) <= 4_300_000
    split = read_split(run.split_file)
    assert len(split.train) + len(split.validation) > 14_000
    card = (run.workdir / "README.md").read_text(encoding="utf-8")
    for needed in (
        "## Intended use",
        "## Limits",
        "## Ethical considerations",
        "## Cite",
        "CC BY 4.0",
        "several classes",
        "women",
        "80 years or older",
        "calibrated",
    ):
        assert needed in card
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()  # a folder of that name is meant where there is one
    with pytest.raises(CheckpointError, match="no checkpoints there"):
        load_run(name)


def test_predict_needs_no_run(tmp_path, capsys):
    """A simulated recording with atrial fibrillation, by the network that comes with the package."""
    signal = simulate_recording(5, 0, frozenset({"AF"}), duration_s=10).signal
    write_record(tmp_path, "mine", np.round(1000 * signal).astype(np.int16))
    assert cli.predict([str(tmp_path / "mine.hea"), "--cache", str(tmp_path / "cache")]) == 0
    printed = capsys.readouterr().out
    assert "weights xecgnet-cpsc2018 of this package" in printed and "AF 0." in printed
