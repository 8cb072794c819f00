"""Runs that cannot lie: damage is told by name, and never taken silently."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import bit_flips
from tests import commands as cli
from tests.learnable_corpus import CONFIG
from xecgnet_jax.errors import CheckpointError, ConfigError
from xecgnet_jax.files import CHECKSUMS, damaged_file, read_sealed, sealed, write_checksums, write_json
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training.checkpoint import SavedCheckpoints
from xecgnet_jax.training.loop import fit


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A run whose best checkpoint is an earlier one than the latest, that of the last epoch."""
    workdir = Path(shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation")))
    latest = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    earlier = Path(shutil.copytree(latest, latest.with_name("3")))
    write_json(earlier / "metrics" / "metrics", {"value": 1.0, "step": 3})
    about = json.loads((earlier / "description" / "metadata").read_text())
    about["progress"] |= {"finished": False, "best_value": 1.0, "best_epoch": 1}
    (earlier / "description" / "metadata").write_text(json.dumps(about))
    (earlier / CHECKSUMS).unlink()
    write_checksums(earlier, [path for item in earlier.iterdir() for path in item.rglob("*") if path.is_file()])
    return workdir


def flip_largest(folder: Path) -> Path:
    path = max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    bit_flips.flip(path, path.stat().st_size // 2, 3)
    return path


@pytest.mark.parametrize("item", ["model", "description", "metrics"])
def test_a_damaged_checkpoint_is_named_and_another_offered(run, item):
    path = flip_largest(run / "checkpoints/3" / item)
    with pytest.raises(CheckpointError, match="its checksum is another; checkpoint 3 is damaged") as error:
        load_run(run)
    assert str(path) in str(error.value)
    assert f"checkpoint 12 is whole: give {run / 'checkpoints/12'} in place of the run" in str(error.value)
    assert load_run(run / "checkpoints/12").step == 12


def test_metrics_of_the_best_checkpoint_that_are_missing_are_told(run):
    (run / "checkpoints/3/metrics/metrics").unlink()
    with pytest.raises(CheckpointError, match="3/metrics/metrics"):
        load_run(run)
    shutil.rmtree(run / "checkpoints/3/metrics")
    (run / "checkpoints/3" / CHECKSUMS).unlink()  # as an older version left it
    with pytest.raises(CheckpointError, match="3/metrics/metrics: is missing, so that it is not known which one is b"):
        load_run(run)


@pytest.mark.parametrize(
    "text",
    [
        *('{"value": 0.5}', '{"value": "x", "step": 3}', '{"micro_f1": 0.5}', '{"micro_f1": "x", "step": 3}'),
        *("[]", "{", "[" * 200_000),
    ],
)
def test_damage_in_checkpoints_without_checksums_is_one_error(run, text, capsys):
    (run / "checkpoints/3" / CHECKSUMS).unlink()
    (run / "checkpoints/3/metrics/metrics").write_text(text)
    with pytest.raises(CheckpointError, match="3/metrics/metrics"):
        load_run(run)
    assert "checkpoints/3: has no checksums" in capsys.readouterr().err


# Orbax leaves threads behind where it fails, which find their loop closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["zeros", "sharding"])
def test_arrays_without_checksums_that_orbax_cannot_read_are_one_error(run, damage):
    """It raises plain exceptions."""
    folder = run / "checkpoints/3"
    (folder / CHECKSUMS).unlink()
    for path in (folder / "model").rglob("*"):
        if path.is_file() and damage == "zeros" and path.name != "_METADATA":
            path.write_bytes(bytes(path.stat().st_size))
        elif path.name == "_sharding" and damage == "sharding":
            path.write_text(path.read_text().replace("SingleDevice", "SingleDevise"))
    try:
        found = load_run(run)
    except CheckpointError as error:
        assert "checkpoints/3/model: cannot be restored" in str(error)
    else:  # shardings are those that are asked for, so this file is not read
        assert damage == "sharding"
        jax.tree.map(np.testing.assert_array_equal, found.variables, load_run(run / "checkpoints/12").variables)


@pytest.mark.ci
def test_training_goes_on_from_the_previous_checkpoint_where_the_latest_is_damaged(run, dataset, engine, capsys):
    path = flip_largest(run / "checkpoints/12/train")
    bit_flips.flip(run / "checkpoints/12/model/_METADATA", 5, 1)
    longer = {"progress": False, "engine": engine}
    with pytest.raises(CheckpointError, match="there is no checkpoint of step 7; there are: 3, 12"):
        fit(CONFIG, dataset, run, go_on_from=7, **longer)
    with pytest.raises(CheckpointError, match=r"12/.*damaged"):
        fit(CONFIG, dataset, run, go_on_from=12, **longer)
    assert path.exists()
    with pytest.raises(CheckpointError, match="or train on from it with --step 3"):
        SavedCheckpoints(run).state(12, engine.state_shapes)
    assert fit(CONFIG, dataset, run, go_on_from=3, **longer)["step"] <= 12
    assert SavedCheckpoints(run).latest() > 3


def test_numbers_that_no_trained_network_has_are_refused(run, monkeypatch):
    ordinary = SavedCheckpoints.model

    def with_nan(self, step, like):
        return jax.tree.map(lambda leaf: leaf * np.nan, ordinary(self, step, like))

    monkeypatch.setattr(SavedCheckpoints, "model", with_nan)
    with pytest.raises(CheckpointError, match=r"checkpoints/3: batch_stats/.* has values that are no numbers"):
        load_run(run)


@pytest.mark.ci
def test_each_bit_of_a_checkpoint_is_told_or_harmless(run, engine):
    """Every file in its turn; `python -m tests.bit_flips RUN 200` counts more."""
    shutil.rmtree(run / "checkpoints/3")
    read = partial(bit_flips.everything_of_run, run, 12, engine.state_shapes)
    found = bit_flips.count_flips(run / "checkpoints/12", 50, read)
    assert set(found) == {"told", "harmless"} and found["harmless"] <= 4, found


@pytest.mark.ci
def test_each_bit_of_weights_is_told_or_harmless(finished, tmp_path):
    load_run(finished).save_pretrained(tmp_path / "weights", split=True)
    found = bit_flips.count_flips(
        tmp_path / "weights", 24, partial(bit_flips.everything_of_weights, tmp_path / "weights")
    )
    assert set(found) == {"told", "harmless"} and found["told"] >= 12, found


def test_checksums_name_the_file_that_changed(tmp_path):
    (tmp_path / "a").mkdir()
    files = [tmp_path / "a" / "one", tmp_path / "two"]
    for path in files:
        path.write_bytes(b"content")
    write_checksums(tmp_path, files)
    assert damaged_file(tmp_path) is None
    files[0].write_bytes(b"contenu")
    assert damaged_file(tmp_path) == "a/one" and damaged_file(tmp_path, "two") is None
    files[0].unlink()
    assert damaged_file(tmp_path, "a") == "a/one"
    table = tmp_path / CHECKSUMS
    table.write_text(table.read_text().replace("two", "twp"))
    assert damaged_file(tmp_path, "b") == CHECKSUMS


def test_a_table_that_was_sealed_cannot_be_edited(tmp_path):
    path = tmp_path / "table.json"
    write_json(path, sealed({"accuracy": 0.5, "names": ["é"]}))
    assert read_sealed(path)["accuracy"] == 0.5
    for old, new in (("0.5", "0.9"), ("names", "nanes"), ('"seal"', '"real"')):
        path.with_name("edited.json").write_text(path.read_text().replace(old, new))
        with pytest.raises(ValueError, match="not as it was written"):
            read_sealed(path.with_name("edited.json"))


@pytest.mark.ci
@pytest.mark.parametrize("edit", [("0.", "0.9"), ('"per_class"', '"per_klass"'), ('"seal"', '"real"')])
def test_edited_metrics_are_made_again(run, dataset, edit):
    first = evaluate(run, dataset, resamples=100, progress=False)
    (path,) = (run / "evaluation").glob("*/metrics.json")
    whole = path.read_bytes()
    path.write_text(path.read_text().replace(*edit, 1))
    assert path.read_bytes() != whole
    assert evaluate(run, dataset, resamples=100, progress=False) == first
    assert path.read_bytes() == whole


@pytest.mark.ci
def test_results_of_two_corpora_of_one_name_are_kept_side_by_side(run, dataset):
    ids = tuple(f"x{name}" for name in dataset.pack.ids)
    other = replace(dataset.pack, packed="0123456789abcdef", fingerprint="0123456789abcdef", ids=ids)
    options = {"name": "data", "resamples": 100, "progress": False}
    first = evaluate(run, dataset, part="all", **options)
    second = evaluate(run, other, part="all", **options)
    assert evaluate(run, dataset, part="all", **options) == first
    assert second["made_from"]["fingerprint"] != first["made_from"]["fingerprint"]
    assert {path.name for path in (run / "evaluation").iterdir()} == {"data-all", "data-01234567-all"}


@pytest.mark.ci
def test_where_results_go_is_asked_before_the_work(run, dataset, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=f"output {tmp_path / 'file'}/x.*: {tmp_path / 'file'} is no folder"):
        evaluate(run, dataset, output=tmp_path / "file" / "x", progress=False)
    evaluate(run, dataset, output=tmp_path / "elsewhere", resamples=100, progress=False)
    assert not (run / "evaluation").exists()
    assert len(list((tmp_path / "elsewhere").glob("*/metrics.json"))) == 1


def test_a_run_can_be_pickled_and_copied_after_it_predicted(finished):
    run, signal = load_run(finished), np.random.default_rng(0).normal(size=(600, 12))
    expected = run.predict(signal).probabilities
    for other in (pickle.loads(pickle.dumps(run)), deepcopy(run)):
        np.testing.assert_array_equal(other.predict(signal).probabilities, expected)


def test_a_batch_is_no_larger_than_the_recordings(finished, dataset):
    """100,000 of them would take 50 GB."""
    run = load_run(finished)
    found = run.predict_rows(dataset.pack, dataset.test, batch_size=100_000)
    np.testing.assert_allclose(
        found.probabilities, run.predict_rows(dataset.pack, dataset.test).probabilities, atol=1e-5
    )


@pytest.mark.slow
def test_a_full_disk_ends_training_in_one_line(corpus, finished, tmp_path):
    """No file may grow beyond 20 kB; the run goes on when there is room again."""
    from tests.training.of_runs import assert_same_bits, command

    workdir = tmp_path / "run"
    limit = "import resource, sys\nfrom xecgnet_jax.cli.main import main\n"
    limit += "from xecgnet_jax.training import workdir\nordinary = workdir.RunDirectory.restore\n"
    limit += "def restore(self, engine):\n    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1))\n"
    limit += "    return ordinary(self, engine)\nworkdir.RunDirectory.restore = restore\nsys.exit(main(sys.argv[1:]))\n"
    words = command(corpus, workdir)[3:]
    full = subprocess.run([sys.executable, "-c", limit, *words], capture_output=True, text=True, check=False)
    assert full.returncode in (1, 2), full.stderr
    assert "Traceback" not in full.stderr and full.stderr.strip().splitlines()[-1].startswith("error: ")
    again = subprocess.run(command(corpus, workdir), capture_output=True, text=True, env={**os.environ}, check=False)
    assert again.returncode == 0, again.stderr
    assert_same_bits(finished, workdir)


def test_the_command_goes_on_from_a_step(run, corpus, capsys):
    from tests.learnable_corpus import WORDS

    words = [*WORDS, "--data", str(corpus), "--workdir", str(run), "--cache", str(corpus.parent / "cache")]
    assert cli.train([*words, "--no-progress", "--step", "5"]) == 2
    assert "there is no checkpoint of step 5; there are: 3, 12" in capsys.readouterr().err
