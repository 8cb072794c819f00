"""A run that was stopped or killed, or is older, is taken up again: to the same bits, or it says why not."""

import dataclasses
import json
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
from tests.learnable_corpus import CONFIG
from tests.training.of_runs import arrays, assert_same_bits, command
from xecgnet_jax.config import OLD_NAMES
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.splits import Split, write_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training import loop
from xecgnet_jax.training.checkpoint import SavedCheckpoints
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.surroundings import changed_surroundings
from xecgnet_jax.training.workdir import RunDirectory, read_config, read_metrics


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


def test_a_run_killed_before_its_first_checkpoint_keeps_to_its_data(dataset, tmp_path):
    """Its data.json is there from the beginning."""
    workdir = tmp_path / "run"
    with RunDirectory(workdir, CONFIG, dataset, jax.local_devices()):
        pass
    corpus = learnable_corpus.write(tmp_path / "other", recordings=36, seed=1)
    pack = pack_of(corpus, tmp_path / "pack", workers=1, progress=False)
    with pytest.raises(CheckpointError, match="other data"):
        fit(CONFIG, make_dataset(pack, CONFIG.data), workdir, progress=False)


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


@pytest.mark.ci
def test_changed_surroundings_are_told(dataset, engine, tmp_path, capsys, monkeypatch):
    workdir = copy_of_the_first_half(dataset, engine, tmp_path / "run")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    with RunDirectory(workdir, CONFIG, dataset, engine.devices) as directory:
        directory.restore(engine)
    said = capsys.readouterr().err
    assert "other surroundings than the run was begun with: XLA_FLAGS none → --xla_cpu_enable_fast_math=true" in said
    assert changed_surroundings({"jax": "1"}, {"jax": "1", "new": "2"}) == ""


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
