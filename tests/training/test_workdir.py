"""The working directory of a run: what it holds, and what it refuses."""

import dataclasses
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import learnable_corpus
from tests.learnable_corpus import CONFIG
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training.checkpoint import Checkpoints, SavedCheckpoints
from xecgnet_jax.training.description import from_json
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.workdir import RunDirectory, hold_alone, read_config, read_metrics


def test_other_settings_are_taken_where_no_checkpoint_is_yet(dataset, engine, tmp_path):
    """What a refused or early killed run left does not stand in the way of its correction."""
    with RunDirectory(tmp_path, dataclasses.replace(CONFIG, seed=9), dataset, engine.devices):
        pass
    with RunDirectory(tmp_path, CONFIG, dataset, engine.devices) as directory:
        assert directory.restore(engine)[1] == 0
    assert read_config(tmp_path) == CONFIG


def test_a_workdir_of_another_config_is_refused(dataset, finished):
    other = dataclasses.replace(CONFIG, objective=dataclasses.replace(CONFIG.objective, gamma=0.5))
    with pytest.raises(CheckpointError, match=r"another config \(objective.gamma: 0.01 → 0.5\)"):
        fit(other, dataset, finished, progress=False)


def test_other_data_are_refused(finished, tmp_path):
    corpus = learnable_corpus.write(tmp_path / "other", recordings=36, seed=1)
    pack = pack_of(corpus, tmp_path / "pack", workers=1, progress=False)
    with pytest.raises(CheckpointError, match="other data"):
        fit(CONFIG, make_dataset(pack, CONFIG.data), finished, progress=False)


@pytest.mark.versions
def test_a_checkpoint_describes_itself(finished, dataset):
    checkpoints = SavedCheckpoints(finished)
    description = checkpoints.description(checkpoints.best())
    assert description.data == dataset.description()
    description = description.to_json()
    assert description["classes"] == list(dataset.pack.classes)
    assert description["leads"] == list(dataset.pack.leads)
    assert (description["rate"], description["units"], description["seed"]) == (500, "mV", 3)
    assert description["data"]["fingerprint"] == dataset.pack.fingerprint
    assert description["normalization"]["mean"] == [float(value) for value in dataset.normalization.mean]
    assert "jax" in description["versions"]
    assert json.loads((finished / "config.json").read_text()) == description["config"]


def test_a_checkpoint_within_an_epoch_has_no_thresholds(finished):
    run = load_run(finished)
    run = dataclasses.replace(run, description=dataclasses.replace(run.description, thresholds=None))
    assert run.thresholds("0.5").name == "0.5"
    with pytest.raises(CheckpointError, match="saved in the middle of an epoch"):
        run.thresholds("best-f1")


@pytest.mark.versions
def test_tensorboard_events_are_written(finished):
    from tensorboardX.proto import event_pb2  # noqa: F401

    assert list((finished / "tensorboard").glob("events.out.tfevents.*"))


def test_a_second_process_in_one_workdir_is_refused(dataset, tmp_path):
    script = (
        "import fcntl, sys\n"
        f"lock = open({str(tmp_path / 'run' / '.lock')!r}, 'a')\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    (tmp_path / "run").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(CheckpointError, match="another process is training here"):
            fit(CONFIG, dataset, tmp_path / "run", progress=False)
        other.communicate("")


@pytest.mark.ci
def test_scores_of_other_weights_are_not_taken_for_these(dataset, finished, tmp_path):
    """Another run in the same folder, with its best checkpoint at the same step."""
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    evaluate(workdir, dataset.pack, name="small", progress=False)
    before = json.loads((workdir / "evaluation/small-test/metrics.json").read_text())
    shutil.rmtree(workdir / "checkpoints")
    run = load_run(finished)
    state = TrainState(np.int32(run.step), jax.tree.map(lambda leaf: leaf * 0.5, run.variables), {"count": 0}, None)
    checkpoints = Checkpoints(workdir)
    checkpoints.save(state, SavedCheckpoints(finished).description(run.step).to_json(), 1.0)
    checkpoints.close()
    evaluate(workdir, dataset.pack, name="small", progress=False)
    after = json.loads((workdir / "evaluation/small-test/metrics.json").read_text())
    assert before["made_from"]["weights"] != after["made_from"]["weights"]


def test_the_runs_own_corpus_changed_is_not_taken_for_another(finished, corpus, tmp_path):
    """A row relabeled: the training part would be scored as if it were new."""
    changed = tmp_path / "corpus"
    shutil.copytree(corpus, changed)
    table = changed / "labels.csv"
    table.write_text(table.read_text().replace("R000,AF,", "R000,PVC,"))
    pack = pack_of(changed, tmp_path / "pack", workers=1, progress=False)
    with pytest.raises(
        CheckpointError, match="24 recordings of this corpus have names or patients of the run's training or val"
    ):
        evaluate(finished, pack, name="changed", progress=False)


@pytest.mark.parametrize("damage", ["leads", "rate", "progress", "normalization", "config"])
def test_a_description_that_cannot_be_trusted_is_refused(finished, damage):
    checkpoints = SavedCheckpoints(finished)
    value = checkpoints.description(checkpoints.best()).to_json()
    if damage == "leads":
        value["leads"] = value["leads"][::-1]
    elif damage == "rate":
        value["rate"] = 250
    elif damage == "normalization":
        value["normalization"]["mean"] = ["x"] * 12
    else:
        del value[damage]
    with pytest.raises(CheckpointError, match="some/checkpoint: the checkpoint's description is damaged"):
        from_json(value, Path("some/checkpoint"))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"gamma": 1}'])
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


LINE = '{"step": %d, "epoch": %d, "validation_micro_f1": 0.5}\n'


def test_a_line_that_a_kill_cut_short_is_left_out_and_damage_is_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(LINE % (3, 1) + LINE % (6, 2) + '{"ste')
    assert [epoch["step"] for epoch in read_metrics(tmp_path)] == [3, 6]
    for damage in ('{"ste\n', '{"step": 9, "epoch": 3}\n', "[" * 200_000 + "\n", "\0" * 40 + "\n", '{"step": 3.5}\n'):
        path.write_text(LINE % (3, 1) + damage + LINE % (9, 3))
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl is damaged"):
            read_metrics(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_and_a_file_stands_for_one(tmp_path, monkeypatch, capsys, number):
    import fcntl

    def no_locks(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lock = hold_alone(tmp_path)
    try:
        with pytest.raises(CheckpointError, match="another process is training here"):
            hold_alone(tmp_path)
    finally:
        lock.release()
    hold_alone(tmp_path).release()
    if number != errno.ENOSYS:  # the lock's own library may know that one
        assert "its file system has no locks" in capsys.readouterr().err


def test_weights_of_recordings_cannot_be_left_out(dataset, engine, tmp_path):
    weighted = dataclasses.replace(dataset, weights=np.linspace(1, 2, len(dataset.weights)))
    with RunDirectory(tmp_path / "run", CONFIG, weighted, engine.devices):
        pass
    with (
        pytest.raises(CheckpointError, match=r"other data \(weights differ"),
        RunDirectory(tmp_path / "run", CONFIG, dataset, engine.devices),
    ):
        pass
