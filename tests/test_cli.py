"""The commands as a user types them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import learnable_corpus
from tests.training.test_loop import WORDS
from xecgnet_jax import cli
from xecgnet_jax.training.workdir import read_metrics

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return learnable_corpus.write(tmp_path_factory.mktemp("cli") / "corpus", recordings=36)


@pytest.fixture(scope="module")
def run(corpus) -> Path:
    workdir = corpus.parent / "run"
    words = [*WORDS, "--data", str(corpus), "--workdir", str(workdir), "--cache", str(corpus.parent / "cache")]
    assert cli.train([*words, "--no-progress"]) == 0
    return workdir


def refused(capsys, command, *words: str) -> str:
    """What a refused command prints: one line, no traceback."""
    try:
        status = command(list(words))
    except SystemExit as error:
        status = error.code
    assert status == 2
    return capsys.readouterr().err


def test_scores_are_printed_and_written(corpus, run, capsys):
    words = [str(run), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress"]
    assert cli.evaluate(words) == 0
    printed = capsys.readouterr().out
    folder = run / "evaluation" / "corpus-test"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert f"{metrics['micro']['f1']:.3f}" in printed and "several classes" in printed
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == metrics["subset_accuracy"]["all"]["recordings"] == 12
    exact = sum(row["predicted"] == row["true"] for row in rows)
    assert exact == metrics["subset_accuracy"]["all"]["exact"]
    assert {row["id"] for row in rows} == {f"R{index:03d}" for index in range(36) if index // 2 % 3 == 2}
    for row in rows:
        likely = [c for c in metrics["per_class"] if float(row[f"probability {c}"]) >= 0.5]
        assert row["predicted"] == ";".join(likely)


def test_a_second_evaluation_reads_the_first(corpus, run):
    words = [str(run), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress"]
    assert cli.evaluate(words) == 0
    path = run / "evaluation" / "corpus-test" / "predictions.csv"
    before = path.stat().st_mtime_ns
    assert cli.evaluate(words) == 0
    assert path.stat().st_mtime_ns == before


def test_a_run_is_not_scored_on_simulated_recordings_unless_that_is_asked_for(run, capsys):
    for words in ([str(run)], ["compare", str(run), str(run)]):
        printed = refused(capsys, cli.evaluate, *words, "--no-progress")
        assert "was trained on another corpus than the simulated one (wfdb-csv, 36 recordings): give --data" in printed


def test_one_checkpoint_is_scored_by_its_path(corpus, run, capsys):
    step = sorted((run / "checkpoints").iterdir())[0]
    words = [str(step), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--part", "all"]
    assert cli.evaluate([*words, "--no-progress"]) == 0
    assert f"36 recordings, checkpoint {step.name}" in capsys.readouterr().out


def test_another_corpus_is_scored_whole_and_has_no_parts(run, tmp_path, capsys):
    other = learnable_corpus.write(tmp_path / "other", recordings=6, seed=5, prefix="X")
    words = [str(run), "--data", str(other), "--cache", str(tmp_path / "cache"), "--no-progress"]
    assert cli.evaluate(words) == 0
    assert "other, all part: 6 recordings" in capsys.readouterr().out
    assert "give --part all" in refused(capsys, cli.evaluate, *words, "--part", "test")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "quik"], "unknown preset 'quik'; possible: quick, fast, paper-pad, paper-crop"),
        (["--preset"], "--preset needs a name"),
        (["--gamma", "-1"], "gamma is -1.0; possible: 0 or more"),
        (["--window", "hole"], "crop"),
        (["--epochs", "many"], "epochs"),
        (["--gama", "1"], "gamma"),
        (["--no-attention"], "give --gamma 0 with --no-attention"),
        (["--window", "whole", "--length", "100"], "a multiple of 243"),
        (["--resume"], "--resume needs --workdir"),
        (["--preset", "quick", "--data", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--data", "/nowhere/at/all"], "--data needs --preset NAME, the settings to begin with: quick, fast"),
        (["--preset", "paper-pad"], "--preset paper-pad is for a corpus: give --data FOLDER, or --simulate N"),
        (["--devices", "-1"], "devices is -1; possible: 0 or more"),
        (["--resume", "--workdir", "/nowhere/at/all"], "no config.json there"),
        (["--save-every", "-1"], "save_every is -1; possible: 0 or more"),
        (["--workers", "0"], "workers is 0; possible: 1 or more"),
        (["--simulate", "0"], "simulate is 0; possible: 1 or more"),
        (["--asl-gamma-negative", "2"], "belong to --loss asymmetric"),
    ],
)
def test_what_is_impossible_is_refused_with_what_is_possible(capsys, words, said):
    printed = refused(capsys, cli.train, *words)
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "1"], "--seed is of one run; a sweep takes --seeds"),
        (["--gamma=1"], "--gamma is of one run; a sweep takes --gammas"),
        (["--resume"], "goes on when the same command is given again"),
        (["--seeds", "1", "1"], "seeds has 1 twice"),
        (["--seeds", "-1"], "seed is -1; possible: from 0"),
        (["--gammas", "0", "nan"], "gamma is nan; possible: a finite number"),
        (["--no-attention", "--gammas", "0", "0.1"], "give --gammas 0 with --no-attention"),
        (["--no-attention"], "give --gammas 0 with --no-attention"),
        (["--at-once", "-1"], "at_once is -1; possible: 0 or more"),
        (["--preset", "quik"], "unknown preset 'quik'"),
        (["--preset", "fast"], "--preset fast is for a corpus"),
        (["--data-on", "moon"], "moon"),
    ],
)
def test_impossible_sweeps_are_refused_with_what_is_possible(capsys, words, said):
    printed = refused(capsys, cli.train, "sweep", *words)
    assert said in printed
    assert "Traceback" not in printed


@pytest.mark.slow
def test_a_sweep_on_two_devices_makes_runs_that_can_be_compared(corpus, run, tmp_path, capsys):
    """Three members on two devices: the last is there twice, and written once. The second is as it is alone."""
    at = WORDS.index("--seed")
    words = [*WORDS[:at], *WORDS[at + 2 :], "--seeds", "3", "--gammas", "0", "0.01", "0.5", "--data", str(corpus)]
    command = [sys.executable, "-m", "xecgnet_jax.cli", "train", "sweep", *words, "--workdir", str(tmp_path)]
    command += ["--cache", str(corpus.parent / "cache")]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    runs = [tmp_path / f"seed3-gamma{gamma}" for gamma in ("0", "0.01", "0.5")]
    assert sorted(tmp_path.iterdir()) == runs
    assert len(json.loads((runs[0] / "environment.json").read_text())["devices"]) == 2
    ours, alone = (read_metrics(one) for one in (runs[1], run))
    assert [record["loss"] for record in ours] == pytest.approx([record["loss"] for record in alone], rel=1e-4)
    assert (runs[1] / "config.json").read_text() == (run / "config.json").read_text()
    compare = made.stdout.split("compare them: xecgnet-eval ")[1].split("\n")[0].split()
    assert compare[:4] == ["compare", *map(str, runs)]
    assert cli.evaluate([*compare, "--no-progress"]) == 0
    assert "seed3-gamma0.5" in capsys.readouterr().out


def test_a_workdir_without_a_run_cannot_be_scored(corpus, tmp_path, capsys):
    words = ["--data", str(corpus), "--cache", str(corpus.parent / "cache")]
    assert "no checkpoints there" in refused(capsys, cli.evaluate, str(tmp_path), *words)


def test_places_that_cannot_be_are_refused(corpus, run, tmp_path, capsys):
    words = ["--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress"]
    file = tmp_path / "file"
    file.write_text("")
    assert "check the path" in refused(capsys, cli.train, *WORDS, *words, "--workdir", str(file / "run"))
    assert "lies in the corpus" in refused(capsys, cli.train, *WORDS, *words, "--workdir", str(corpus / "run"))
    assert "batch_size is 0" in refused(capsys, cli.evaluate, str(run), *words, "--batch-size", "0")


def test_the_command_that_scores_is_printed_whole(corpus, run, capsys):
    words = [*WORDS, "--data", str(corpus), "--workdir", str(run), "--cache", str(corpus.parent / "cache")]
    assert cli.train([*words, "--no-progress", "--on-bad-recording", "skip"]) == 0
    printed = capsys.readouterr().out.split("score it: xecgnet-eval ")[1].split("\n")[0]
    assert "--on-bad-recording skip" in printed
    assert cli.evaluate([*printed.split(), "--no-progress"]) == 0


def test_folds_that_do_not_exist_are_refused(corpus, tmp_path, capsys):
    words = ["--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--workdir", str(tmp_path / "run")]
    printed = refused(capsys, cli.train, "--preset", "quick", *words, "--split", "folds", "--no-progress")
    assert "folds" in printed and "1, 2, 3" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_the_scripts_explain_themselves(script):
    environment = os.environ | {"COLUMNS": "100"}
    shown = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, timeout=120, env=environment
    )
    assert shown.returncode == 0
    assert "--data" in shown.stdout
