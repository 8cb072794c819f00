"""The commands as a user types them."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests import commands as cli
from tests import learnable_corpus
from tests.data import small_corpus
from tests.learnable_corpus import CONFIG, WORDS
from tests.training.of_runs import assert_same_bits
from xecgnet_jax.cli.main import COMMANDS, main, parse
from xecgnet_jax.config import preset, to_dict
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.training.workdir import read_metrics

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory) -> Path:
    """A run that may be written to."""
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("cli") / "run"))


def refused(capsys, command, *words: str) -> str:
    """What a refused command prints: one line, no traceback."""
    try:
        status = command(list(words))
    except SystemExit as error:
        status = error.code
    assert status == 2
    return capsys.readouterr().err


@pytest.mark.ci
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


@pytest.mark.ci
def test_a_second_evaluation_reads_the_first(corpus, run):
    words = [str(run), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress"]
    assert cli.evaluate(words) == 0
    path = run / "evaluation" / "corpus-test" / "predictions.csv"
    before = path.stat().st_mtime_ns
    assert cli.evaluate(words) == 0
    assert path.stat().st_mtime_ns == before


def test_a_run_is_not_scored_on_simulated_recordings_unless_that_is_asked_for(run, capsys):
    for command, words in ((cli.evaluate, [str(run)]), (cli.compare, [str(run), str(run)])):
        printed = refused(capsys, command, *words, "--no-progress")
        assert "was trained on another corpus than the simulated one (wfdb-csv, 36 recordings): give --data" in printed


@pytest.mark.ci
def test_one_checkpoint_is_scored_by_its_path(corpus, run, capsys):
    step = sorted((run / "checkpoints").iterdir())[0]
    words = [str(step), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--part", "all"]
    assert cli.evaluate([*words, "--no-progress"]) == 0
    assert f"36 recordings, checkpoint {step.name}" in capsys.readouterr().out


@pytest.mark.ci
def test_another_corpus_is_scored_whole_and_has_no_parts(run, tmp_path, capsys):
    other = learnable_corpus.write(tmp_path / "other", recordings=6, seed=5, prefix="X")
    words = [str(run), "--data", str(other), "--cache", str(tmp_path / "cache"), "--no-progress"]
    assert cli.evaluate(words) == 0
    assert "other, all 6 recordings" in capsys.readouterr().out
    assert "give --part all" in refused(capsys, cli.evaluate, *words, "--part", "test")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "quik"], "quik"),
        (["--preset"], "--preset"),
        (["--gamma", "-1"], "gamma is -1.0; possible: 0 or more"),
        (["--window", "hole"], "crop"),
        (["--epochs", "many"], "epochs"),
        (["--gama", "1"], "gamma"),
        (["--no-attention"], "give --gamma 0 with --no-attention"),
        (["--pools", "3", "3", "3", "3"], "five whole numbers"),
        (["--resume"], "--resume needs --workdir"),
        (["--preset", "quick", "--data", "/nowhere/at/all"], "/nowhere/at/all"),
        (
            ["--data", "/nowhere/at/all"],
            "--data needs --preset NAME or --config FILE, the settings to begin with; presets: quick",
        ),
        (["--preset", "paper-pad"], "--preset paper-pad is for a corpus: give --data FOLDER, or --simulate N"),
        (["--devices", "-1"], "devices is -1; possible: 0 or more"),
        (["--resume", "--workdir", "/nowhere/at/all"], "no config.json there"),
        (["--save-every", "-1"], "save_every is -1; possible: 0 or more"),
        (["--workers", "0"], "workers is 0; possible: 1 or more"),
        (["--simulate", "0"], "simulate is 0; possible: 1 or more"),
        (["--asl-gamma-negative", "2"], "possible: 0 without --loss asymmetric"),
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
        (["--seeds", "1", "1"], "seeds has 1 twice"),
        (["--seeds", "-1"], "seed is -1; possible: from 0"),
        (["--gammas", "0", "nan"], "gamma is nan; possible: a finite number"),
        (["--no-attention", "--gammas", "0", "0.1"], "give --gammas 0 with --no-attention"),
        (["--no-attention"], "give --gammas 0 with --no-attention"),
        (["--at-once", "-1"], "at_once is -1; possible: 0 or more"),
        (["--member", "3"], "member is 3; possible: 0 to 2, as --dry-run lists them"),
        (["--member", "-1"], "member is -1; possible: 0 to 2"),
        (["--preset", "quik"], "quik"),
        (["--preset", "fast"], "--preset fast is for a corpus"),
        (["--data-on", "moon"], "moon"),
    ],
)
def test_impossible_sweeps_are_refused_with_what_is_possible(capsys, words, said):
    printed = refused(capsys, cli.sweep, *words)
    assert said in printed
    assert "Traceback" not in printed


def test_the_members_of_a_sweep_are_listed_and_nothing_is_made(tmp_path, capsys):
    words = ["--seeds", "3", "4", "--gammas", "0", "0.01", "--workdir", str(tmp_path / "sweep"), "--dry-run"]
    assert cli.sweep(words) == 0
    names = ("seed3-gamma0", "seed4-gamma0", "seed3-gamma0.01", "seed4-gamma0.01")
    assert capsys.readouterr().out == "".join(f"{i}  {tmp_path / 'sweep' / name}\n" for i, name in enumerate(names))
    assert cli.sweep([*words, "--member", "2"]) == 0
    assert capsys.readouterr().out == f"2  {tmp_path / 'sweep' / names[2]}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.ci
def test_one_member_of_a_sweep_is_the_run_alone(corpus, finished, tmp_path, capsys):
    at = WORDS.index("--seed")
    words = [*WORDS[:at], *WORDS[at + 2 :], "--seeds", "4", "3", "--gammas", "0.01", "--member", "1"]
    words += ["--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--workdir", str(tmp_path / "sweep")]
    assert cli.sweep([*words, "--no-progress"]) == 0
    assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["seed3-gamma0.01"]
    assert_same_bits(tmp_path / "sweep" / "seed3-gamma0.01", finished)
    assert f"score it: xecgnet evaluate {tmp_path / 'sweep' / 'seed3-gamma0.01'}" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_on_two_devices_makes_runs_that_can_be_compared(corpus, run, tmp_path, capsys):
    """Three members on two devices: the last is there twice, and written once. The second is as it is alone."""
    at = WORDS.index("--seed")
    words = [*WORDS[:at], *WORDS[at + 2 :], "--seeds", "3", "--gammas", "0", "0.01", "0.5", "--data", str(corpus)]
    command = [sys.executable, "-m", "xecgnet_jax", "sweep", *words, "--workdir", str(tmp_path)]
    command += ["--cache", str(corpus.parent / "cache")]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    made = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment, cwd=ROOT)
    assert made.returncode == 0, made.stderr
    runs = [tmp_path / f"seed3-gamma{gamma}" for gamma in ("0", "0.01", "0.5")]
    assert sorted(tmp_path.iterdir()) == runs
    assert len(json.loads((runs[0] / "environment.json").read_text())["devices"]) == 2
    ours, alone = ([record["loss"] for record in read_metrics(one)] for one in (runs[1], run))
    assert ours[0] == pytest.approx(alone[0], rel=1e-4) and ours == pytest.approx(alone, rel=2e-3)  # rounding grows
    assert (runs[1] / "config.json").read_text() == (run / "config.json").read_text()
    compare = made.stdout.split("compare them: xecgnet compare ")[1].split("\n")[0].split()
    assert compare[:3] == [*map(str, runs)]
    assert cli.compare([*compare, "--no-progress"]) == 0
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


def test_words_and_settings_are_the_same(corpus):
    words = ["train", *WORDS, "--data", str(corpus)]
    assert parse(words).settings == CONFIG


@pytest.mark.ci
def test_the_command_that_scores_is_printed_whole(corpus, run, capsys):
    words = [*WORDS, "--data", str(corpus), "--workdir", str(run), "--cache", str(corpus.parent / "cache")]
    assert cli.train([*words, "--no-progress", "--on-bad-recording", "skip"]) == 0
    printed = capsys.readouterr().out.split("score it: xecgnet evaluate ")[1].split("\n")[0]
    assert "--on-bad-recording skip" in printed
    assert cli.evaluate([*printed.split(), "--no-progress"]) == 0
    compared = capsys.readouterr().out.split("compare it: xecgnet ")[1].split("\n")[0]
    assert parse(compared.split()).runs == (run, Path("OTHER_RUN"))


def test_folds_that_do_not_exist_are_refused(corpus, tmp_path, capsys):
    words = ["--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--workdir", str(tmp_path / "run")]
    printed = refused(capsys, cli.train, "--preset", "quick", *words, "--split", "folds", "--no-progress")
    assert "folds" in printed and "1, 2, 3" in printed
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("{", "is not valid JSON"),
        ('{"epochs": "many"}', "epochs is 'many'"),
        ('{"epoch": 3}', "unknown setting epoch; possible: model"),
        ('{"epochs": 3}', "is missing; --preset NAME gives the settings that a file lacks"),
        ("[1]", "config is [1]; possible: a table of settings"),
    ],
)
def test_files_of_settings_that_do_not_do_are_refused(tmp_path, capsys, text, said):
    path = tmp_path / "mine.json"
    if text is not None:
        path.write_text(text)
    words = [] if "--preset" in said else ["--preset", "quick"]
    printed = refused(capsys, cli.train, *words, "--config", str(path), "--simulate", "8")
    assert said in printed and str(path) in printed


def test_settings_come_from_a_preset_then_a_file_then_options(tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text("epochs = 7\nseed = 5\n[model]\nwidth = 0.5\n[data]\ntrain_folds = [1, 2]\n")
    words = ["train", "--preset", "quick", "--config", str(toml), "--seed", "6", "--data", "somewhere"]
    found = parse(words).settings
    quick = preset("quick")
    assert (found.epochs, found.seed, found.model.width, found.data.train_folds) == (7, 6, 0.5, (1, 2))
    assert found.optimizer == quick.optimizer and found.model.activation == quick.model.activation
    whole = tmp_path / "config.json"
    whole.write_text(json.dumps(to_dict(found)))
    assert parse(["train", "--config", str(whole), "--data", "somewhere"]).settings == found
    of_sweep = parse(["sweep", "--config", str(whole), "--gammas", "0", "1"])
    assert of_sweep.gammas == (0.0, 1.0) and of_sweep.settings.epochs == 7
    assert parse(["sweep", "--config", str(whole)]).gammas == (found.objective.gamma,)


def shown(*words: str, **environment: str) -> bytes:
    """What a command prints at 80 columns."""
    surroundings = os.environ | {"COLUMNS": "80"} | environment
    done = subprocess.run([sys.executable, *words], capture_output=True, timeout=120, env=surroundings, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_the_terminal_in_any_encoding(name):
    words = ["-m", "xecgnet_jax", *([name] if name else []), "--help"]
    lines = shown(*words, PYTHONIOENCODING="cp1252").decode("cp1252").splitlines()
    assert len(lines) > 8 and max(map(len, lines[1:])) <= 80 and len(lines[0]) <= 90  # usage is not wrapped
    assert not any("None" in line for line in lines)


def test_no_line_of_a_help_text_begins_with_an_option():
    """Such a line of a comment begins a new line of the help, in the middle of a sentence."""
    files = [ROOT / "xecgnet_jax" / "config.py", *(ROOT / "xecgnet_jax" / "cli").glob("*.py")]
    assert [file.name for file in files if re.search(r"^ +#: -", file.read_text(encoding="utf-8"), re.M)] == []


@pytest.mark.parametrize("script", ["train", "eval", "predict", "export"])
def test_the_scripts_are_the_commands(script):
    name = {"eval": "evaluate"}.get(script, script)
    assert shown(f"{script}.py", "--help") == shown("-m", "xecgnet_jax", name, "--help")


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xecgnet-jax {version('xecgnet-jax')}\n"


def test_a_pipe_may_end(corpus):
    """As `| head -1` ends it."""
    made = subprocess.Popen(
        [sys.executable, "-u", "-m", "xecgnet_jax", "corpus", str(corpus)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    made.stdout.close()
    assert made.stderr.read() == b"" and made.wait(timeout=120) == 141


@pytest.mark.ci
def test_a_terminal_without_greek_letters_gets_the_rest(corpus, run):
    words = [str(run), "--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress", "--no-report"]
    assert b"micro" in shown("-m", "xecgnet_jax", "evaluate", *words, PYTHONIOENCODING="ascii")


def test_a_corpus_is_described(tmp_path, capsys):
    folder = str(small_corpus.write_corpus(tmp_path / "corpus"))
    assert cli.corpus([folder]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0][-3:] == ["wfdb-csv,", "4", "recordings"]
    assert ["AF", "2"] in lines and ["Normal", "1"] in lines and ["STE", "0"] in lines
    assert ["XYZ", "2"] in lines
    assert f"train on it: xecgnet train --preset fast --data {folder}" in printed
    assert "error: " in refused(capsys, cli.corpus, str(tmp_path))


def test_a_corpus_that_annotates_what_is_no_class_is_refused(tmp_path, capsys):
    folder = small_corpus.write_corpus(tmp_path / "corpus")
    table = folder / "labels.csv"
    table.write_text("classes: AF, Foo\n" + table.read_text())
    assert cli.corpus([str(folder)]) == 2
    assert "annotates Foo, no class of cpsc2018" in capsys.readouterr().err


def test_a_corpus_is_simulated(tmp_path, capsys):
    words = [str(tmp_path / "new"), "--recordings", "3", "--seed", "2", "--no-progress"]
    assert cli.simulate(words) == 0 and cli.simulate(words) == 0
    assert "train on it: xecgnet train --preset quick --data" in capsys.readouterr().out
    assert len(read_corpus(tmp_path / "new").entries) == 3
    assert "holds another simulated corpus" in refused(capsys, cli.simulate, *words, "--seed", "3")
    assert "at least 1" in refused(capsys, cli.simulate, str(tmp_path / "other"), "--recordings", "0")
