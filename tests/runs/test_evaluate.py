"""Scores and comparisons of trained runs: what is written, what is read again, what is refused."""

import csv
import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests import commands as cli
from tests import learnable_corpus
from tests.learnable_corpus import CONFIG
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.splits import read_split, write_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.runs.compare import _group_runs
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.runs.predictions import predict_part
from xecgnet_jax.training.loop import fit

pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def words(corpus) -> list[str]:
    return ["--data", str(corpus), "--cache", str(corpus.parent / "cache"), "--no-progress"]


@pytest.fixture(scope="module")
def runs(dataset, engine, tmp_path_factory) -> dict[str, Path]:
    """Two seeds at γ 0.01 and one more, two at 0, one with the parts to validate and to test exchanged."""
    folder = tmp_path_factory.mktemp("scoring")
    settings = {"a0": (0, 0.01), "a1": (1, 0.01), "a2": (2, 0.01), "b0": (0, 0.0), "b1": (1, 0.0)}
    for name, (seed, gamma) in settings.items():
        config = replace(CONFIG, seed=seed, objective=replace(CONFIG.objective, gamma=gamma))
        fit(config, dataset, folder / name, progress=False, engine=engine)
    exchanged = replace(CONFIG, seed=0, data=replace(CONFIG.data, validation_folds=(3,), test_folds=(2,)))
    fit(exchanged, make_dataset(dataset.pack, exchanged.data), folder / "c0", progress=False, engine=engine)
    return {name: folder / name for name in (*settings, "c0")}


def printed(capsys, command, *more: str) -> str:
    capsys.readouterr()
    assert command([str(word) for word in more]) == 0
    return capsys.readouterr().out


def refused(capsys, command, *more: object) -> str:
    """What a refused command prints: one line, no traceback."""
    capsys.readouterr()
    try:
        status = command([str(word) for word in more])
    except SystemExit as error:
        status = error.code
    said = capsys.readouterr().err
    assert status == 2 and "Traceback" not in said
    return said


def predictions(run: Path) -> list[dict[str, str]]:
    with (run / "evaluation" / "corpus-test" / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_csv_gives_the_probabilities_back_bit_for_bit(corpus, words, runs, capsys):
    printed(capsys, cli.evaluate, runs["a0"], *words, "--no-report")
    run, pack = load_run(runs["a0"]), pack_of(corpus, corpus.parent / "again", workers=1, progress=False)
    rows = pack.select(read_split(runs["a0"] / "split.csv").test)
    found = [[np.float32(line[f"probability {name}"]) for name in run.classes] for line in predictions(runs["a0"])]
    np.testing.assert_array_equal(np.array(found), run.predict_rows(pack, rows).probabilities)


def test_thresholds_of_the_checkpoint_are_used_and_named(words, runs, capsys):
    """A run whose validation part says otherwise than 0.5; figures by scikit-learn from the CSV."""
    loaded = [load_run(path) for path in runs.values()]
    run = next(one for one in loaded if np.any(one.thresholds("best-f1").values != 0.5))
    values = run.thresholds("best-f1").values
    out = printed(capsys, cli.evaluate, run.workdir, *words, "--thresholds", "best-f1", "--no-report")
    assert "thresholds best-f1" in out and all(f"{value:.3f}" in out for value in values)
    lines = predictions(run.workdir)
    truth = np.array([[name in line["true"].split(";") for name in run.classes] for line in lines])
    found = np.array([[name in line["predicted best-f1"].split(";") for name in run.classes] for line in lines])
    likely = np.array([[float(line[f"probability {name}"]) for name in run.classes] for line in lines])
    np.testing.assert_array_equal(found, apply_thresholds(likely, values))
    metrics = json.loads((run.workdir / "evaluation/corpus-test/metrics-best-f1.json").read_text())
    assert metrics["micro"]["f1"] == pytest.approx(f1_score(truth, found, average="micro"))
    assert metrics["thresholds"]["values"] == dict(zip(run.classes, values.tolist(), strict=True))


def test_what_is_there_is_not_made_again(words, runs, capsys):
    folder = runs["a1"] / "evaluation" / "corpus-test"
    names = ("predictions.csv", "metrics.json", "report.html")
    printed(capsys, cli.evaluate, runs["a1"], *words)  # which may pack the corpus, and says so
    first = printed(capsys, cli.evaluate, runs["a1"], *words)
    before = {name: (folder / name).stat().st_mtime_ns for name in names}
    assert printed(capsys, cli.evaluate, runs["a1"], *words) == first
    assert before == {name: (folder / name).stat().st_mtime_ns for name in names}
    printed(capsys, cli.evaluate, runs["a1"], *words, "--resamples", "300")
    after = {name: (folder / name).stat().st_mtime_ns for name in names}
    assert after["predictions.csv"] == before["predictions.csv"]
    assert after["metrics.json"] > before["metrics.json"] and after["report.html"] > before["report.html"]


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: "nonsense", lambda text: text.replace(",0.", ",1.")])
def test_damaged_predictions_are_made_again(words, runs, capsys, damage):
    """Rounded or edited ones, too: their sha256 is kept."""
    first = printed(capsys, cli.evaluate, runs["a1"], *words, "--no-report")
    file = runs["a1"] / "evaluation/corpus-test/predictions.csv"
    whole = file.read_bytes()
    file.write_text(damage(whole.decode()))
    assert printed(capsys, cli.evaluate, runs["a1"], *words, "--no-report") == first
    assert file.read_bytes() == whole


def test_a_checkpoint_by_its_step_has_a_folder_of_its_own(words, runs, capsys):
    """Comparing two checkpoints of one run leaves the figures of the best one where they are, and says what it is."""
    printed(capsys, cli.evaluate, runs["b1"], *words, "--no-report")
    folder = runs["b1"] / "evaluation"
    before = (folder / "corpus-test" / "metrics.json").read_bytes()
    step = max((runs["b1"] / "checkpoints").iterdir(), key=lambda path: int(path.name))
    if step.name == str(load_run(runs["b1"]).step):
        assert "given twice" in refused(capsys, cli.compare, runs["b1"], step, *words)
    else:
        out = printed(capsys, cli.compare, runs["b1"], step, *words)
        assert "checkpoints of one training" in out
    printed(capsys, cli.evaluate, step, *words, "--no-report")
    assert (folder / f"corpus-test-{step.name}" / "metrics.json").exists()
    assert (folder / "corpus-test" / "metrics.json").read_bytes() == before


def test_other_patients_or_labels_make_all_of_a_folder_anew(corpus, runs, tmp_path, capsys):
    """Two corpora of one name: no metric of the first stays beside predictions of the second."""
    first = learnable_corpus.write(tmp_path / "one" / "same", recordings=8, seed=5, prefix="X")
    second = tmp_path / "two" / "same"
    shutil.copytree(first, second)
    table = (second / "labels.csv").read_text().replace("P1", "P0")
    (second / "labels.csv").write_text(table)
    run = tmp_path / "run"
    shutil.copytree(runs["a0"], run, ignore=shutil.ignore_patterns("evaluation"))
    words = ["--cache", str(tmp_path / "cache"), "--no-progress", "--resamples", "100"]
    out = printed(capsys, cli.evaluate, run, "--data", first, *words)
    assert "100 resamples of 4 patients" in out
    assert (run / "evaluation/same-all/report.html").exists()
    out = printed(capsys, cli.evaluate, run, "--data", second, *words, "--thresholds", "best-f1", "--no-report")
    assert "100 resamples of 3 patients" in out
    left = sorted(path.name for path in (run / "evaluation/same-all").iterdir())
    assert left == ["metrics-best-f1.json", "predictions.csv", "predictions.json"]


def test_recordings_of_the_training_part_are_told(words, runs, capsys):
    out = printed(capsys, cli.evaluate, runs["a0"], *words, "--part", "all", "--no-report")
    assert "12 of these recordings have names or patients of the run's training part" in out
    out = printed(capsys, cli.compare, runs["a0"], runs["c0"], *words, "--part", "all")
    assert "a0 was trained on 12 of these recordings" in out and "c0 was trained on 12" in out


@pytest.mark.parametrize("split", ["folds", "stratified", "file"])
def test_a_split_is_the_same_with_hashed_names(dataset, tmp_path, monkeypatch, split):
    """It depends on no key: the parts have the same rows, and a user's files name recordings as the corpus does."""
    pack = dataset.pack
    (tmp_path / "weights.csv").write_text(f"id,weight\n{pack.ids[1]},3\n")
    write_split(tmp_path / "split.csv", dataset.split, {})
    files = {"sample_weights": str(tmp_path / "weights.csv"), "split_file": str(tmp_path / "split.csv")}
    config = replace(CONFIG.data, split=split, **files)
    plain = make_dataset(pack, config)
    for key in ("of this test, and long enough to be one", "another one of the same length as that one"):
        monkeypatch.setenv("XECGNET_PATIENT_KEY", key)
        hashed = make_dataset(pack.hash_ids(), config)
        for part in ("train", "validation", "test"):
            assert getattr(hashed, part).tolist() == getattr(plain, part).tolist()
        assert hashed.weights.tolist() == plain.weights.tolist() and hashed.weights[1] == 3
        assert not set(itertools.chain(*hashed.split)) & set(pack.ids)
        write_split(tmp_path / "hashed.csv", hashed.split, {})  # a run's own file has hashes
        again = make_dataset(pack.hash_ids(), replace(config, split="file", split_file=str(tmp_path / "hashed.csv")))
        assert again.split == hashed.split


def test_names_that_are_hashed_are_recognized_or_refused(dataset, runs, engine, tmp_path, monkeypatch):
    """A run knows which recordings it was trained on, whether its names or those of the corpus are hashes."""
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "of this test, and long enough to be one")
    hashed = dataset.pack.hash_ids()
    plain_run = load_run(runs["a0"])
    found = predict_part(plain_run, hashed, part="unseen", output=tmp_path / "1", progress=False)
    assert len(found.rows) == 12 and found.trained_on == 0
    with pytest.raises(CheckpointError, match="have names or patients of the run's training"):
        predict_part(plain_run, hashed, output=tmp_path / "1", progress=False)

    config = replace(CONFIG, epochs=1)
    fit(config, make_dataset(hashed, config.data), tmp_path / "run", progress=False)
    run = load_run(tmp_path / "run")
    assert len(predict_part(run, hashed, output=tmp_path / "2", progress=False).rows) == 12
    with pytest.raises(CheckpointError, match="was trained with --hash-ids; give it here, too"):
        predict_part(run, dataset.pack, output=tmp_path / "2", progress=False)
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "another one of the same length as that one")
    with pytest.raises(CheckpointError, match="was trained with --hash-ids; give it here, too"):
        predict_part(run, dataset.pack.hash_ids(), output=tmp_path / "2", progress=False)


def test_runs_trained_on_other_data_are_not_seeds_of_one_group(runs):
    run = load_run(runs["a1"])
    elsewhere = replace(run, description=replace(run.description, data=run.data | {"fingerprint": "0"}))
    assert _group_runs([load_run(runs["a0"]), run]) == [[0], [1]]
    assert _group_runs([load_run(runs["a0"]), run, load_run(runs["b0"])]) == [[0, 1], [2]]
    assert _group_runs([load_run(runs["a0"]), elsewhere, load_run(runs["b0"])]) == [[0], [1], [2]]


def test_the_report_shows_the_recordings_of_the_part(words, runs, capsys):
    printed(capsys, cli.evaluate, runs["a1"], *words)
    page = (runs["a1"] / "evaluation/corpus-test/report.html").read_text()
    assert all(line["id"] in page for line in predictions(runs["a1"]))
    assert "http://" not in page.replace("http://www.w3.org/", "") and "https://" not in page


def test_seeds_of_one_config_are_one_group(words, runs, capsys, tmp_path):
    file = tmp_path / "found.json"
    given = [runs[name] for name in ("a0", "b1", "a1", "b0")]
    out = printed(capsys, cli.compare, *given, *words, "--output", file)
    assert "gamma 0.01" in out and "gamma 0" in out and "threshold 0.5" in out
    (result,) = json.loads(file.read_text())["results"]
    assert result["candidate"]["runs"] == ["a0", "a1"] and result["baseline"]["runs"] == ["b1", "b0"]
    assert {(pair["candidate"], pair["baseline"]) for pair in result["mcnemar"]} == {("a0", "b0"), ("a1", "b1")}
    for group in ("candidate", "baseline"):
        values = result["metrics"]["subset_accuracy_all"][group]["values"]
        for name, value in zip(result[group]["runs"], values, strict=True):
            assert value == pytest.approx(
                np.mean([line["predicted"] == line["true"] for line in predictions(runs[name])])
            )


def test_predictions_are_kept_where_it_is_asked_for(words, runs, capsys, tmp_path):
    """As for runs that may not be written to; the figures are the same."""
    before = {path for name in ("a0", "a1") for path in runs[name].rglob("*")}
    printed(capsys, cli.compare, runs["a0"], runs["a1"], *words, "--part", "train", "--results", tmp_path / "kept")
    assert {path for name in ("a0", "a1") for path in runs[name].rglob("*")} == before
    kept = sorted((tmp_path / "kept").glob("*/corpus-train/predictions.csv"))
    assert [path.parts[-3].split("-")[0] for path in kept] == ["a0", "a1"]


def test_two_runs_of_one_config_are_two_group_runs(words, runs, capsys):
    out = printed(capsys, cli.compare, runs["a0"], runs["a1"], *words, "--thresholds", "best-subset")
    assert "a0" in out and "a1" in out and "McNemar" in out
    assert "thresholds best-subset of each run's validation part" in out


def test_what_cannot_be_compared_is_refused(words, runs, capsys):
    compare = [cli.compare, runs["a0"]]
    assert "two or more runs" in refused(capsys, *compare, *words)
    assert "given twice" in refused(capsys, *compare, runs["a0"], *words)
    said = refused(capsys, *compare, runs["c0"], *words)
    assert "a0" in said and "c0" in said and "different recordings" in said and "R004" in said
    assert "no checkpoints there" in refused(capsys, *compare, runs["a0"].parent, *words)
    assert "is a folder" in refused(capsys, *compare, runs["a1"], *words, "--output", runs["a0"])
    assert "resamples is 5; possible: 100 or more" in refused(capsys, *compare, runs["a1"], *words, "--resamples", "5")


def test_all_runs_of_one_config_are_no_comparison(words, runs, capsys):
    said = refused(capsys, cli.compare, runs["a0"], runs["a1"], runs["a2"], *words)
    assert "differ in nothing but the seed" in said
