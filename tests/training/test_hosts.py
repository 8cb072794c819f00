"""One run in several processes on loopback: the same run as in one, and what each says when one of them fails."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.learnable_corpus import CONFIG, WORDS
from tests.training.of_runs import arrays, assert_same_bits, lines
from xecgnet_jax.training import hosts
from xecgnet_jax.training.checkpoint import SavedCheckpoints
from xecgnet_jax.training.loop import fit

ROOT = Path(__file__).resolve().parents[2]


class Ended(NamedTuple):
    """How a process ended."""

    status: int
    out: str
    err: str


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def train(corpus: Path, workdir: Path, *more: str, happens: str = "", devices: int = 1, slurm: bool = False):
    """Ends of the two processes of a run; `happens` is what on_hosts.py does, in which processes, at which step."""
    words = [*WORDS, "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--workdir", str(workdir), *more]
    begin = ["-m", "tests.training.on_hosts", *happens.split()] if happens else ["-m", "xecgnet_jax", "train"]
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    port, started = free_port(), []
    for number in range(2):
        found = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process", str(number)]
        if slurm:
            found = []
            environment |= {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
            environment |= {"SLURM_PROCID": str(number), "SLURM_LOCALID": "0", "JAX_COORDINATOR_PORT": str(port)}
        command = [sys.executable, *begin, *words, "--distributed", *found]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    try:
        said = [process.communicate(timeout=200) for process in started]
    finally:
        for process in started:
            process.kill()
    return [Ended(process.returncode, *texts) for process, texts in zip(started, said, strict=True)]


def losses(workdir: Path) -> list[float]:
    return [record["loss"] for record in lines(workdir)]


def test_a_process_alone_waits_for_nobody():
    stop, step = threading.Event(), jnp.zeros(())
    stops = hosts.agreement(stop)
    assert hosts.is_first() and not stops(step, 1)
    stop.set()
    assert stops(step, 1) and hosts.gather(7).tolist() == [7] and hosts.check_same(7, "it") == 7
    with hosts.first_alone(), hosts.watchdog(0.001) as alive:
        alive()


@pytest.fixture(scope="module")
def two(corpus, tmp_path_factory) -> Path:
    """A run of two processes that nothing interrupted, its batches read from the disk."""
    workdir = tmp_path_factory.mktemp("two") / "run"
    first, second = train(corpus, workdir, "--data-on", "host")
    assert (first.status, second.status) == (0, 0), (first.err, second.err)
    assert "best epoch" in first.out and "epoch 4/4" in first.err
    assert "epoch" not in second.out + second.err
    return workdir


@pytest.mark.ci
def test_two_processes_make_the_run_of_one(two, finished):
    """Losses to rounding, which grows: 1e-5 in the first epoch. The same files, told apart by the devices only."""
    assert losses(two)[0] == pytest.approx(losses(finished)[0], rel=1e-5)
    assert losses(two) == pytest.approx(losses(finished), rel=2e-3)
    scored = {"evaluation"}  # Another test may have scored the shared run.
    assert {path.name for path in two.iterdir()} == {path.name for path in finished.iterdir()} - scored
    for name in ("config.json", "data.json", "split.csv"):
        assert (two / name).read_text() == (finished / name).read_text()
    assert json.loads((two / "environment.json").read_text())["versions"]["devices"] == "2 × cpu"
    SavedCheckpoints(two).check(SavedCheckpoints(two).latest())


@pytest.mark.slow
@pytest.mark.parametrize(("devices", "data_on"), [(1, "device"), (2, "host")])
def test_one_step_is_that_of_one_process(corpus, dataset, tmp_path, devices, data_on):
    """Metrics, statistics and the first moments of Adam, which are a tenth of the gradient."""
    config = dataclasses.replace(CONFIG, batch_size=12, epochs=1)
    fit(config, dataset, tmp_path / "one", progress=False)
    words = ("--batch-size", "12", "--epochs", "1", "--data-on", data_on)
    ended = train(corpus, tmp_path / "two", *words, devices=devices)
    assert [one.status for one in ended] == [0, 0], ended
    left, right = arrays(tmp_path / "one"), arrays(tmp_path / "two")
    assert left.keys() == right.keys() and len(left) > 100
    for name, value in left.items():
        np.testing.assert_allclose(right[name], value, rtol=0, atol=1e-5, err_msg=name)
    for name in ("loss", "attention_loss", "perception_loss", "alignment", "gradient_norm"):
        ours, theirs = (lines(tmp_path / folder)[0][name] for folder in ("one", "two"))
        assert theirs == pytest.approx(ours, rel=1e-5), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["masked", "linear"])
def test_twenty_steps_of_several_processes_are_those_of_one_in_float64(tmp_path, kind):
    """Variables, statistics and sums of metrics to 1e-9; two and four processes of one and two devices each."""

    def steps(name: str, processes: int, devices: int) -> list[np.ndarray]:
        environment = os.environ | {
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_X64": "True",
            "PYTHONPATH": str(ROOT),
        }
        file, port = tmp_path / f"{name}.npz", free_port()
        command = [sys.executable, "-m", "tests.training.on_devices", "twenty_steps_together", kind, str(file)]
        words = [[f"127.0.0.1:{port}", str(processes), str(number)] for number in range(processes)]
        started = [
            subprocess.Popen(
                [*command, *more], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for more in (words if processes > 1 else [[]])
        ]
        said = [process.communicate(timeout=500) for process in started]
        assert [process.returncode for process in started] == [0] * len(started), said
        assert all(f'"devices": {processes * devices}' in out for out, _ in said)
        with np.load(file) as arrays:
            return [arrays[one] for one in arrays.files]

    expected = steps("one", 1, 1)
    for processes, devices in ((2, 1), (2, 2), (4, 1), (4, 2)):
        found = steps(f"{processes}-{devices}", processes, devices)
        assert len(found) == len(expected) > 100
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["0", "1", "0,1"])
def test_a_run_whose_processes_were_killed_goes_on_with_the_same_bits(corpus, two, tmp_path, killed):
    """In the second epoch. The other one says so; where the first one is gone, JAX may be faster to end it."""
    ended = train(corpus, tmp_path / "run", "--data-on", "host", happens=f"SIGKILL {killed} 5")
    for number, one in enumerate(ended):
        if str(number) in killed:
            assert one.status == -signal.SIGKILL
        elif one.status != -signal.SIGABRT or number == 0:
            assert one.status == 1 and "error: another process of the run has ended" in one.err.splitlines()[-1]
    assert len(lines(tmp_path / "run")) == 1
    again = train(corpus, tmp_path / "run", "--data-on", "host")
    assert [one.status for one in again] == [0, 0], again
    assert_same_bits(two, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "process"), [("SIGTERM", "1"), ("SIGUSR1", "0")])
def test_processes_that_are_asked_to_stop_save_one_step(corpus, two, tmp_path, number, process):
    """The step is the same whichever process is asked; the status is that of one process."""
    ended = train(corpus, tmp_path / "run", "--data-on", "host", happens=f"{number} {process} 2")
    said = {one.err.splitlines()[-1] for one in ended}
    assert [one.status for one in ended] == [130, 130] and len(said) == 1, ended
    step = SavedCheckpoints(tmp_path / "run").latest()
    assert said == {f"stopped at step {step} of 12 and saved; the same command goes on from there"} and 2 < step < 12
    again = train(corpus, tmp_path / "run", "--data-on", "host", slurm=True)
    assert [one.status for one in again] == [0, 0], again
    assert_same_bits(two, tmp_path / "run")


@pytest.mark.slow
def test_a_run_goes_on_with_other_numbers_of_devices(corpus, dataset, engine, two, finished, tmp_path):
    """Of four devices in two processes, then on one: the same state, and the run's end."""
    ended = train(corpus, tmp_path / "run", happens="SIGTERM 1 2", devices=2)
    assert [one.status for one in ended] == [130, 130], ended
    saved, raw = SavedCheckpoints(tmp_path / "run"), arrays(tmp_path / "run")
    state = saved.state(saved.latest(), engine.state_shapes)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.variables):
        np.testing.assert_array_equal(leaf, raw[f"{saved.latest()}/train['variables']{jax.tree_util.keystr(path)}"])
    fit(CONFIG, dataset, tmp_path / "run", progress=False)
    assert losses(tmp_path / "run") == pytest.approx(losses(finished), rel=2e-3)
    other = tmp_path / "other"
    ended = train(corpus, other, happens="SIGTERM 0 2")
    ended = train(corpus, other, devices=2)
    assert [one.status for one in ended] == [0, 0], ended
    assert losses(other) == pytest.approx(losses(two), rel=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("process", ["0", "1"])
def test_a_process_that_fails_leaves_at_once_and_each_says_why(corpus, tmp_path, process):
    ended = train(corpus, tmp_path / "run", happens=f"full {process} 5")
    failed, other = ended if process == "0" else ended[::-1]
    assert failed.status == 2 and "error: /a/disk: No space left on device" in failed.err.splitlines()[-1]
    if process == "1" or other.status != -signal.SIGABRT:
        assert other.status == 1 and "another process of the run has ended" in other.err.splitlines()[-1]


@pytest.mark.slow
def test_a_process_that_hangs_is_noticed(corpus, tmp_path):
    ended = train(corpus, tmp_path / "run", "--step-timeout", "5", happens="hangs 1 5")
    assert ended[0].status == 1 and ended[1].status in (1, -signal.SIGABRT), ended
    said = "no step or batch has ended for 5 s (--step-timeout): a process of the run hangs"
    assert said in ended[0].err or (said in ended[1].err and "another process of the run has ended" in ended[0].err)


@pytest.mark.slow
def test_processes_that_see_other_checkpoints_are_refused(corpus, two, tmp_path):
    """As where the file system of one host lags behind."""
    shutil.copytree(two, tmp_path / "run")
    ended = train(corpus, tmp_path / "run", happens="lags 1 0")
    assert ended[0].status == 2 and ended[1].status in (2, -signal.SIGABRT), ended
    assert "the latest checkpoint differs between the processes of the run ([0, 12])" in ended[0].err


@pytest.mark.parametrize("option", ["--coordinator=a:1", "--processes=2", "--process=0"])
def test_options_of_several_processes_need_distributed(option, capsys):
    from xecgnet_jax.cli.main import main

    assert main(["train", option]) == 2
    assert "--coordinator, --processes and --process belong to --distributed" in capsys.readouterr().err


@pytest.mark.ci
def test_a_run_without_a_cluster_is_told_what_to_give(tmp_path):
    words = ["train", "--distributed", "--workdir", str(tmp_path / "run"), "--cache", str(tmp_path)]
    command = [sys.executable, "-m", "xecgnet_jax", *words]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    last = ended.stderr.splitlines()[-1]
    assert ended.returncode == 2 and "no cluster tells" in last and "--coordinator HOST:PORT" in last


@pytest.mark.parametrize(("status", "requeued"), [(0, ""), (2, ""), (130, "requeue 7_1\n")])
def test_the_slurm_script_requeues_what_was_stopped(tmp_path, status, requeued):
    """With programs of these names that write down what they are called with."""
    for name, end in (("srun", status), ("scontrol", 0)):
        program = tmp_path / name
        program.write_text(f'#!/bin/bash\necho "$@" >> "{tmp_path}/{name}.called"\nexit {end}\n')
        program.chmod(0o755)
    array = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "1"}
    environment = os.environ | array | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DATA": "corpus", "RUNS": "runs"}
    script = ["bash", str(ROOT / "examples" / "slurm.sh"), "sweep"]
    assert subprocess.run(script, env=environment, check=False).returncode == status
    called = (tmp_path / "srun.called").read_text()
    assert "xecgnet sweep" in called and called.endswith("--member 1\n")
    found = tmp_path / "scontrol.called"
    assert (found.read_text() if found.exists() else "") == requeued
