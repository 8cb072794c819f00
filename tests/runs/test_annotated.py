"""A corpus that annotates some of the classes: the others count neither in training nor in scores."""

import json
import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests import commands as cli
from tests import learnable_corpus
from tests.learnable_corpus import CONFIG
from xecgnet_jax import evaluate, fit, load_run, open_corpus
from xecgnet_jax.errors import PackError
from xecgnet_jax.runs.predictions import predict_part

pytestmark = pytest.mark.ci

LABELED = ("AF", "RBBB")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The corpus with and without the line, and a run of each; Normal is written nowhere."""
    folder = tmp_path_factory.mktemp("annotated")
    learnable_corpus.write(folder / "all", recordings=36)
    table = folder / "all" / "labels.csv"
    table.write_text(table.read_text().replace("Normal", ""))
    shutil.copytree(folder / "all", folder / "some")
    (folder / "some" / "labels.csv").write_text(f"classes: {', '.join(LABELED)}\n" + table.read_text())
    return folder


def opened(place, name, **more):
    return open_corpus(place / name, CONFIG.data, cache=place / "cache", workers=1, progress=False, **more)


@pytest.fixture(scope="module")
def run(place):
    config = replace(CONFIG, epochs=2, optimizer=replace(CONFIG.optimizer, ema_decay=0.0))
    return fit(config, opened(place, "some"), place / "run", progress=False)


def test_the_table_and_the_option_say_the_same(place):
    told, given = opened(place, "some").pack, opened(place, "all", annotated=LABELED).pack
    assert told.annotated == given.annotated == LABELED and told.columns.tolist() == [0, 6]
    assert len({told.fingerprint, given.fingerprint, opened(place, "all").pack.fingerprint}) == 3


def test_the_heads_of_other_classes_learn_nothing(place, run):
    """The last layer's column of a class moves by its gradient alone."""
    first = jax.tree.map(np.asarray, load_run(place / "run").variables["params"])
    again = fit(replace(run.config, epochs=1), opened(place, "some"), place / "shorter", progress=False)
    then = jax.tree.map(np.asarray, again.variables["params"])
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(then), strict=True)
    (moved,) = [(one != other).any(axis=0) for one, other in pairs if one.ndim == 2 and one.shape[1] == 9]
    assert moved.tolist() == [name in LABELED for name in run.classes]


def test_scores_are_of_the_annotated_classes(place, run):
    dataset = opened(place, "some")
    metrics = evaluate(run, dataset, resamples=100, progress=False)
    one = predict_part(run, dataset, progress=False)
    assert list(metrics["per_class"]) == list(LABELED) and one.probabilities.shape[1] == 9
    predicted = one.probabilities[:, [0, 6]] >= 0.5
    truth = dataset.pack.labels[dataset.test][:, [0, 6]]
    assert metrics["micro"]["f1"] == pytest.approx(f1_score(truth, predicted, average="micro", zero_division=0))
    assert metrics["subset_accuracy"]["all"]["exact"] == int((truth == predicted).all(axis=1).sum())
    kept = run.thresholds("best-f1").values
    assert (np.delete(kept, [0, 6]) == 0.5).all()
    raw = np.full((1, 9), 0.3)
    assert run.calibrate(raw)[0, 1] == pytest.approx(0.3)  # not fitted: stays raw


def test_commands_say_what_is_not_scored(place, run, capsys):
    words = ["--cache", str(place / "cache"), "--no-progress", "--workers", "1", "--resamples", "100"]
    assert cli.evaluate([str(place / "run"), "--data", str(place / "some"), "--report", *words]) == 0
    said = capsys.readouterr().out
    assert "not annotated, so not scored: I-AVB, LBBB, Normal, PAC, PVC, STD, STE" in said and "PVC   " not in said
    folder = place / "run" / "evaluation" / "some-test"
    assert list(json.loads((folder / "metrics.json").read_text())["per_class"]) == list(LABELED)
    assert "AF, RBBB; the other classes are left out" in (folder / "report.html").read_text()
    others = ["--data", str(place / "all"), "--part", "all", "--annotated", "AF"]
    assert cli.evaluate([str(place / "run"), *others, *words]) == 2
    assert "R004 has RBBB, which the corpus does not annotate" in capsys.readouterr().err


def test_names_that_are_no_class_are_refused(place):
    with pytest.raises(PackError, match="annotates AFIB, which is no class of cpsc2018"):
        opened(place, "all", annotated=("AFIB",))
