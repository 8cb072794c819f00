"""Runs: a function of (config, data, seed, step), whatever happens to the process."""

import dataclasses
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from tests import learnable_corpus
from tests.data.planned import make_batch
from tests.learnable_corpus import CONFIG, WORDS
from xecgnet_jax.config import OLD_NAMES, OptimizerConfig
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.splits import Split, write_split
from xecgnet_jax.errors import CheckpointError, ConfigError, DivergedError
from xecgnet_jax.evaluation.thresholds import best_f1, best_subset
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training import loop
from xecgnet_jax.training.checkpoint import Checkpoints, SavedCheckpoints
from xecgnet_jax.training.description import from_json
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.state import TrainState
from xecgnet_jax.training.surroundings import changed_surroundings
from xecgnet_jax.training.workdir import RunDirectory, hold_alone, read_config, read_metrics


def arrays(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of every checkpoint."""
    found = {}
    with ocp.StandardCheckpointer() as reader:
        for folder in sorted((workdir / "checkpoints").resolve().glob("[0-9]*/[mt]*/")):
            if folder.name in ("model", "train"):
                for path, leaf in jax.tree_util.tree_leaves_with_path(reader.restore(folder)):
                    found[f"{folder.parent.name}/{folder.name}{jax.tree_util.keystr(path)}"] = np.asarray(leaf)
    return found


def lines(workdir: Path) -> list[dict]:
    """metrics.jsonl without its clocks."""
    return [{k: v for k, v in record.items() if "seconds" not in k} for record in read_metrics(workdir)]


def assert_same_bits(one: Path, other: Path) -> None:
    left, right = arrays(one), arrays(other)
    assert left.keys() == right.keys() and len(left) > 300
    for name, value in left.items():
        assert value.dtype == right[name].dtype and value.tobytes() == right[name].tobytes(), name
    assert lines(one) == lines(other)


def command(corpus: Path, workdir: Path, *more: str) -> list[str]:
    cache = str(corpus.parent / "cache")
    train = [sys.executable, "-m", "xecgnet_jax", "train"]
    return [*train, *WORDS, "--data", str(corpus), "--workdir", str(workdir), "--cache", cache, *more]


def test_it_learns(finished):
    records = read_metrics(finished)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert records[-1]["loss"] < records[0]["loss"]


@pytest.mark.ci
@pytest.mark.versions
def test_two_runs_with_one_seed_are_the_same_bits(dataset, finished, tmp_path):
    """The second by an engine of its own."""
    fit(CONFIG, dataset, tmp_path / "again", progress=False)
    assert_same_bits(finished, tmp_path / "again")


@pytest.mark.slow
def test_another_seed_is_another_run(dataset, engine, finished, tmp_path):
    fit(dataclasses.replace(CONFIG, seed=4), dataset, tmp_path / "other", progress=False, engine=engine)
    assert lines(tmp_path / "other")[0]["loss"] != lines(finished)[0]["loss"]


@pytest.mark.versions
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.slow) for number in loop.STOPPING)],
)
def test_a_run_stopped_within_an_epoch_goes_on_with_the_same_bits(corpus, finished, tmp_path, number):
    """The process stops itself in the middle of epoch 2, looking up after every step (the other did more rarely)."""
    workdir = tmp_path / "killed"
    script = tmp_path / "stop.py"
    script.write_text(
        "import os, sys\n"
        "from xecgnet_jax.cli.main import main\n"
        "from xecgnet_jax.training import loop, progress\n"
        "loop.LOOK_UP_SECONDS = 0\n"
        "ordinary = progress.ProgressBar.show_step\n"
        "def show_step(self, step, loss):\n"
        f"    if step == 4: os.kill(os.getpid(), {int(number)})\n"
        "    ordinary(self, step, loss)\n"
        "progress.ProgressBar.show_step = show_step\n"
        "sys.exit(main(['train', *sys.argv[1:]]))\n"
    )
    words = command(corpus, workdir)
    first = subprocess.run([sys.executable, str(script), *words[4:]], capture_output=True, text=True, timeout=300)
    assert first.returncode == (-9 if number == signal.SIGKILL else 130), first.stderr
    assert len(read_metrics(workdir)) == 1
    if number != signal.SIGKILL:
        assert "stopped at step 5 of 12 and saved; the same command goes on from there" in first.stderr
    second = subprocess.run(command(corpus, workdir, "--resume"), capture_output=True, text=True, timeout=300)
    assert second.returncode == 0, second.stderr
    assert (workdir / "config.json").read_text() == (finished / "config.json").read_text()
    assert_same_bits(finished, workdir)


@pytest.mark.ci
def test_a_run_killed_while_a_checkpoint_is_removed_goes_on_with_the_same_bits(corpus, finished, tmp_path):
    """When some of its files are gone: it is none any more."""
    script = tmp_path / "kill.py"
    script.write_text(
        "import os, sys\n"
        "from pathlib import Path\n"
        "from xecgnet_jax.cli.main import main\n"
        "from xecgnet_jax.training import checkpoint\n"
        "def remove(folder, **how):\n"
        "    files = [path for path in Path(folder).rglob('*') if path.is_file()]\n"
        "    [path.unlink() for path in files[::2]]\n"
        "    if files: os.kill(os.getpid(), 9)\n"
        "checkpoint.shutil.rmtree = remove\n"
        "sys.exit(main(['train', *sys.argv[1:]]))\n"
    )
    words = command(corpus, tmp_path / "run")
    first = subprocess.run([sys.executable, str(script), *words[4:]], capture_output=True, text=True, timeout=300)
    assert first.returncode == -9, first.stderr
    assert 0 < len(read_metrics(tmp_path / "run")) < 4
    (tmp_path / "run" / ".metrics.jsonl.99.tmp").touch()  # as of a kill while that was written
    second = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert second.returncode == 0, second.stderr
    assert_same_bits(finished, tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*.tmp"))


def test_a_finished_run_is_found_and_not_made_again(dataset, finished):
    before = arrays(finished)
    best = fit(CONFIG, dataset, finished, progress=False)
    assert best["validation_micro_f1"] == max(record["validation_micro_f1"] for record in read_metrics(finished))
    assert before.keys() == arrays(finished).keys()


def test_a_workdir_of_another_config_is_refused(dataset, finished):
    other = dataclasses.replace(CONFIG, objective=dataclasses.replace(CONFIG.objective, gamma=0.5))
    with pytest.raises(CheckpointError, match=r"another config \(objective.gamma: 0.01 → 0.5\)"):
        fit(other, dataset, finished, progress=False)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rate": 250.0}, "was made with rate 500.0, the config of the run says 250.0"),
        ({"filter": (40.0,)}, "was made with filter"),
        ({"normalize_on": "none"}, "was made with normalize_on 'train'"),
        ({"test_folds": (2,), "validation_folds": (3,)}, "was made with validation_folds"),
        ({"classes": "ptbxl-rhythm"}, "was made with classes"),
    ],
)
def test_a_dataset_of_other_settings_is_refused(dataset, tmp_path, changed, problem):
    """From Python both are given: a run that says 250 Hz must not train on signals of 500 Hz."""
    config = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, **changed))
    with pytest.raises(ConfigError, match=problem):
        fit(config, dataset, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changed", [{"batch_size": 5}, {"epochs": 2}, {"optimizer": OptimizerConfig()}])
def test_an_engine_of_other_settings_is_refused(dataset, engine, tmp_path, changed):
    with pytest.raises(ConfigError, match=f"the engine was made with other settings .*{next(iter(changed))}"):
        fit(dataclasses.replace(CONFIG, **changed), dataset, tmp_path / "run", progress=False, engine=engine)


def test_other_data_are_refused(finished, tmp_path):
    corpus = learnable_corpus.write(tmp_path / "other", recordings=36, seed=1)
    pack = pack_of(corpus, tmp_path / "pack", workers=1, progress=False)
    with pytest.raises(CheckpointError, match="other data"):
        fit(CONFIG, make_dataset(pack, CONFIG.data), finished, progress=False)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(dataset, engine, tmp_path):
    config = dataclasses.replace(CONFIG, objective=dataclasses.replace(CONFIG.objective, gamma=3e38))
    with pytest.raises(DivergedError, match=r"the loss of step \d+ is not finite"):
        fit(config, dataset, tmp_path / "run", progress=False, engine=engine)


@pytest.mark.ci
def test_early_stopping(dataset, engine, tmp_path, monkeypatch):
    """Of four epochs the second is the best; the fourth is not made."""
    ordinary, given = loop.validate, iter([0.3, 0.5, 0.5])

    def planned(*arguments):
        metrics, *rest = ordinary(*arguments)
        return metrics | {"validation_micro_f1": next(given)}, *rest

    monkeypatch.setattr(loop, "validate", planned)
    best = fit(dataclasses.replace(CONFIG, patience=1), dataset, tmp_path / "run", progress=False, engine=engine)
    assert best["epoch"] == 2 and len(read_metrics(tmp_path / "run")) == 3
    assert load_run(tmp_path / "run").step == best["step"]


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


def test_the_kept_weights_are_the_best_epochs(finished, dataset):
    """What a checkpoint restores predicts what training said of it."""
    run = load_run(finished)
    best = max(read_metrics(finished), key=lambda record: record["validation_micro_f1"])
    evaluate(finished, dataset.pack, name="small", part="validation", progress=False)
    metrics = json.loads((finished / "evaluation" / "small-validation" / "metrics.json").read_text())
    assert metrics["micro"]["f1"] == best["validation_micro_f1"]
    assert metrics["subset_accuracy"]["all"]["accuracy"] == best["validation_subset_accuracy"]
    assert run.step == best["step"]


def test_thresholds_are_those_of_the_validation_part(finished, dataset):
    """Chosen anew from the predictions of the validation part alone."""
    run = load_run(finished)
    labels = dataset.pack.labels[dataset.validation]
    probabilities = run.predict_rows(dataset.pack, dataset.validation).probabilities
    for choose in (best_f1, best_subset):
        expected = choose(labels, probabilities)
        np.testing.assert_allclose(run.thresholds(expected.name).values, expected.values, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(run.thresholds("0.5").values, np.full(9, 0.5))


def test_a_checkpoint_within_an_epoch_has_no_thresholds(finished):
    run = load_run(finished)
    run = dataclasses.replace(run, description=dataclasses.replace(run.description, thresholds=None))
    assert run.thresholds("0.5").name == "0.5"
    with pytest.raises(CheckpointError, match="saved in the middle of an epoch"):
        run.thresholds("best-f1")


def test_batches_do_not_depend_on_what_came_before(dataset):
    late = make_batch(CONFIG, dataset, 7)
    for step in range(3):
        make_batch(CONFIG, dataset, step)
    for one, other in zip(late, make_batch(CONFIG, dataset, 7), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.versions
def test_tensorboard_events_are_written(finished):
    from tensorboardX.proto import event_pb2  # noqa: F401

    assert list((finished / "tensorboard").glob("events.out.tfevents.*"))


def test_a_run_killed_before_its_first_checkpoint_keeps_to_its_data(dataset, tmp_path):
    """Its data.json is there from the beginning."""
    workdir = tmp_path / "run"
    with RunDirectory(workdir, CONFIG, dataset, jax.local_devices()):
        pass
    corpus = learnable_corpus.write(tmp_path / "other", recordings=36, seed=1)
    pack = pack_of(corpus, tmp_path / "pack", workers=1, progress=False)
    with pytest.raises(CheckpointError, match="other data"):
        fit(CONFIG, make_dataset(pack, CONFIG.data), workdir, progress=False)


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


@pytest.mark.parametrize("lose", [lambda text: text[:-9], lambda text: b"\0" * len(text), lambda text: b""])
def test_epochs_whose_lines_are_lost_are_told(dataset, finished, tmp_path, capsys, lose):
    """Of a finished run nothing will make them anew."""
    workdir = Path(shutil.copytree(finished, tmp_path / "run"))
    path = workdir / "metrics.jsonl"
    path.write_bytes(lose(path.read_bytes()))
    fit(CONFIG, dataset, workdir, progress=False)
    epochs = "4" if path.read_bytes() else "1, 2, 3, 4"
    assert f"metrics.jsonl: the lines of epochs {epochs} are missing" in capsys.readouterr().err


def copy_of_the_first_half(dataset, engine, folder: Path) -> Path:
    """A run that was stopped after two epochs."""

    def stop(record):
        if record["epoch"] == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(CONFIG, dataset, folder, progress=False, on_epoch=stop, engine=engine)
    return folder


@pytest.mark.ci
def test_tensorboard_keeps_the_epochs_before_a_run_goes_on(dataset, engine, tmp_path):
    """A reader drops what is at the purged step or behind it."""
    from tensorboardX.proto.event_pb2 import Event

    workdir = copy_of_the_first_half(dataset, engine, tmp_path / "run")
    fit(CONFIG, dataset, workdir, progress=False, engine=engine)
    shown: set[int] = set()
    for path in sorted((workdir / "tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length
            if event.HasField("session_log"):
                shown = {step for step in shown if step < event.step}
            elif event.HasField("summary"):
                shown.add(event.step)
    assert shown == {3, 6, 9, 12}


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


def test_files_that_settings_name_may_lie_elsewhere(dataset, engine, tmp_path):
    """What they hold is compared, not where they are: a run goes on with its own split.csv."""
    write_split(tmp_path / "mine.csv", dataset.split)
    here, there = (
        dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, split="file", split_file=str(path)))
        for path in (tmp_path / "mine.csv", tmp_path / "run" / "split.csv")
    )
    with RunDirectory(tmp_path / "run", here, make_dataset(dataset.pack, here.data), engine.devices):
        pass
    with RunDirectory(tmp_path / "run", there, make_dataset(dataset.pack, there.data), engine.devices):
        pass
    train, validation, test = dataset.split
    write_split(tmp_path / "run" / "split.csv", Split(validation, train, test))
    with (
        pytest.raises(CheckpointError, match=r"other data \(split differ"),
        RunDirectory(tmp_path / "run", there, make_dataset(dataset.pack, there.data), engine.devices),
    ):
        pass


def test_weights_of_recordings_cannot_be_left_out(dataset, engine, tmp_path):
    weighted = dataclasses.replace(dataset, weights=np.linspace(1, 2, len(dataset.weights)))
    with RunDirectory(tmp_path / "run", CONFIG, weighted, engine.devices):
        pass
    with (
        pytest.raises(CheckpointError, match=r"other data \(weights differ"),
        RunDirectory(tmp_path / "run", CONFIG, dataset, engine.devices),
    ):
        pass


@pytest.mark.ci
def test_changed_surroundings_are_told(dataset, engine, tmp_path, capsys, monkeypatch):
    workdir = copy_of_the_first_half(dataset, engine, tmp_path / "run")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with RunDirectory(workdir, CONFIG, dataset, engine.devices) as directory:
        directory.restore(engine)
    said = capsys.readouterr().err
    assert "other surroundings than the run was begun with: XLA_FLAGS none → --xla_cpu_enable_fast_math=true" in said
    assert changed_surroundings({"jax": "1"}, {"jax": "1", "new": "2"}) == ""


SETTINGS = {
    "jax_enable_x64": True,
    "jax_threefry_partitionable": False,
    "jax_default_prng_impl": "rbg",
    "jax_numpy_dtype_promotion": "strict",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_process_change_no_bit(dataset, finished, tmp_path, name):
    before = getattr(jax.config, name)
    jax.config.update(name, SETTINGS[name])
    try:
        fit(CONFIG, dataset, tmp_path / "run", progress=False)
        run = load_run(tmp_path / "run")
        found = run.predict(np.zeros((600, 12)), maps=True)
    finally:
        jax.config.update(name, before)
    assert_same_bits(finished, tmp_path / "run")
    expected = load_run(finished).predict(np.zeros((600, 12)), maps=True)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.probabilities.dtype == found.maps.responses.dtype == np.float32


def test_a_finished_run_without_its_curves_still_knows_its_best_epoch(dataset, finished, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(finished, workdir)
    (workdir / "metrics.jsonl").unlink()
    assert fit(CONFIG, dataset, workdir, progress=False)["step"] == load_run(finished).step


def old_names(value):
    """JSON values with the names of older versions."""
    back = {new: old for old, new in OLD_NAMES.items()}
    if isinstance(value, dict):
        return {back.get(name, name): old_names(item) for name, item in value.items()}
    return [old_names(item) for item in value] if isinstance(value, list) else value


def write_old_run(workdir: Path, finished: Path, step: int) -> None:
    """A run as an older version left it, with a checkpoint of `finished`."""
    workdir.mkdir()
    for name in ("config.json", "data.json", "split.csv"):
        values = (finished / name).read_text()
        (workdir / name).write_text(json.dumps(old_names(json.loads(values))) if name == "config.json" else values)
    source = finished / "checkpoints" / str(step)
    with ocp.StandardCheckpointer() as reader:
        model, train = (reader.restore((source / name).resolve()) for name in ("model", "train"))
    description = old_names(SavedCheckpoints(finished).description(step).to_json())
    del description["config"]["model"]["matmul_precision"]
    assert "optimiser" in description["config"] and "deviation" in description["standardisation"]
    train["optimiser"] = train.pop("optimizer")
    options = ocp.CheckpointManagerOptions(best_fn=lambda metrics: metrics["micro_f1"])
    with ocp.CheckpointManager((workdir / "checkpoints").resolve(), options=options) as manager:
        items = {"model": ocp.args.StandardSave(model), "train": ocp.args.StandardSave(train)}
        items["description"] = ocp.args.JsonSave(description)
        manager.save(step, args=ocp.args.Composite(**items), metrics={"micro_f1": 0.25, "step": step})


@pytest.mark.ci
@pytest.mark.versions
def test_a_run_of_an_older_version_loads_and_can_be_taken_up(dataset, engine, finished, tmp_path):
    """Its config.json and checkpoints have other names; products were as the platform makes them."""
    step = sorted(int(path.name) for path in (finished / "checkpoints").iterdir())[-1]
    write_old_run(tmp_path / "run", finished, step)
    run = load_run(tmp_path / "run" / "checkpoints" / str(step))
    older = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, matmul_precision="default"))
    assert run.config == older
    jax.tree.map(np.testing.assert_array_equal, run.variables, load_run(finished / "checkpoints" / str(step)).variables)
    np.testing.assert_array_equal(run.normalization.std, dataset.normalization.std)
    assert read_config(tmp_path / "run") == CONFIG
    shapes = engine.state_shapes
    states = [SavedCheckpoints(workdir).state(step, shapes) for workdir in (tmp_path / "run", finished)]
    jax.tree.map(np.testing.assert_array_equal, *states)
    assert fit(CONFIG, dataset, tmp_path / "run", progress=False)["step"] == load_run(finished).step


@pytest.mark.ci
def test_the_callback_is_called_once_an_epoch_across_resumes(dataset, engine, finished, tmp_path):
    """After the checkpoint lies on the disk; what it raises ends the run, and the epoch is not told again."""
    told = []

    def tell(record):
        steps = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.isdigit()]
        assert record["step"] in steps
        told.append(record["epoch"])
        if record["epoch"] in (2, 3):
            raise RuntimeError("the tracker is gone")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="the tracker is gone"):
            fit(CONFIG, dataset, tmp_path / "run", progress=False, on_epoch=tell, engine=engine)
    fit(CONFIG, dataset, tmp_path / "run", progress=False, on_epoch=tell, engine=engine)
    assert told == [1, 2, 3, 4]
    assert_same_bits(finished, tmp_path / "run")


@pytest.mark.slow
def test_a_profile_of_a_few_steps_is_written(dataset, engine, tmp_path):
    fit(CONFIG, dataset, tmp_path / "run", progress=False, profile=tmp_path / "profile", engine=engine)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_more_devices_than_there_are_are_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"devices is 99; possible: 0 \(all\) to 1"):
        fit(CONFIG, dataset, tmp_path / "run", progress=False, devices=99)
    assert not (tmp_path / "run").exists()
