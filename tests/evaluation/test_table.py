"""The tables of evaluations and comparisons: their numbers, their dashes, their width."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xecgnet_jax.data.labels import CLASSES
from xecgnet_jax.evaluation.comparison import Group, compare
from xecgnet_jax.evaluation.comparison_text import format_comparison
from xecgnet_jax.evaluation.label_sets import label_sets
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.scores import evaluate
from xecgnet_jax.evaluation.table import format_label_sets, format_table

TABLE = """\
a small case
thresholds best-f1: AF 0.400, Normal 0.500, STE 0.612

class        precision         recall            F1                AUROC             AP              support
AF           0.500 0.09-0.91   0.500 0.09-0.91   0.500 0.00-1.00   0.750 –           0.833 0.33-1.00       2
Normal       1.000 0.34-1.00   1.000 0.34-1.00   1.000 –           1.000 –           1.000 –               2
STE              –             0.000 0.00-0.79   0.000 –           0.333 –           0.250 –               1
micro        0.750 0.50-1.00   0.600 0.25-1.00   0.667 0.33-0.89                                           5
macro        0.750 –           0.500 –           0.500 –           0.694 –           0.694 –          3 of 3

subset accuracy                    exact      of   Wilson
  all recordings           0.250       1       4   0.046-0.699
  one class                0.333       1       3   0.061-0.792
  several classes          0.000       0       1   0.000-0.793
  none of the classes          –       0       0
"""


def small():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]], np.uint8)
    predictions = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]], np.uint8)
    probabilities = np.array([[0.9, 0.2, 0.1], [0.3, 0.8, 0.2], [0.6, 0.9, 0.1], [0.1, 0.1, 0.1]])
    return labels, probabilities, predictions


def test_the_table_shows_metrics_intervals_and_thresholds():
    labels, probabilities, predictions = small()
    calibrated = probabilities**2
    metrics = evaluate(
        labels, probabilities, predictions, ("AF", "Normal", "STE"), calibrated=calibrated, resamples=1000
    )
    values = {"AF": 0.4, "Normal": 0.5, "STE": 0.6123}
    thresholds = {"name": "best-f1", "values": values}
    table = format_table(metrics | {"thresholds": thresholds}, "a small case")
    assert table.startswith(TABLE)
    thresholds["calibrated"] = {name: value**2 for name, value in values.items()}
    with_both = format_table(metrics | {"thresholds": thresholds}, "a small case").splitlines()
    assert with_both[2] == "which is, calibrated: AF 0.160, Normal 0.250, STE 0.375"
    rest = table.removeprefix(TABLE)
    for name in ("hamming_loss", "samples_f1"):
        low, high = metrics["intervals"][name]
        assert f"{metrics[name]:.3f}   {low:.3f}-{high:.3f}" in rest
    for key, after in (("calibration", ""), ("calibrated", ", calibrated")):
        row = metrics[key]
        assert f"\n{'calibration error' + after:33}{row['calibration_error']:.3f}" in rest
        assert f"{row['calibration_error_by_chance']:.3f} by chance, were they right; 10 bins" in rest
    assert "1,000 resamples of 4 recordings (seed 0)." in rest
    assert "–: undefined" in rest and "An interval is undefined (–) where" in rest


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [("0.5", 0.5, "threshold 0.5"), ("best-f1", 0.5, "thresholds best-f1: 0.5 for every class")],
)
def test_one_threshold_for_all_classes_is_said_once(name, value, line):
    metrics = evaluate(*small(), ("AF", "Normal", "STE"), resamples=10)
    metrics["thresholds"] = {"name": name, "values": dict.fromkeys(("AF", "Normal", "STE"), value)}
    assert format_table(metrics, "title").splitlines()[1] == line


def groups(recordings, runs=(1, 1), classes=9, seed=0):
    """Labels and two groups that are wrong here and there."""
    rng = np.random.default_rng(seed)
    labels = (rng.uniform(size=(recordings, classes)) < 0.2).astype(np.uint8)
    made = []
    for name, number in zip(("gamma 0.01, a long name of a group", "B"), runs, strict=True):
        probabilities = np.clip(
            np.where(labels, 0.8, 0.1) + rng.normal(0, 0.25, (number, recordings, classes)), 0, 1
        ).astype(np.float32)
        names = tuple(f"runs/of a rather long working directory/{name}/seed-{run}" for run in range(number))
        made.append(Group(name, names, tuple(range(number)), labels, probabilities, apply_thresholds(probabilities)))
    return made


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 40), st.booleans(), st.integers(0, 99))
def test_no_table_is_wider_than_120_columns(recordings, by_patient, seed):
    """Whatever is undefined; with long names of classes and many label sets."""
    classes = tuple(f"{name} of a rather long name" for name in CLASSES)
    one, other = groups(recordings, runs=(1, 2), seed=seed)
    patients = [str(index // 3) for index in range(recordings)] if by_patient else None
    metrics = evaluate(one.labels, one.probabilities[0], one.predictions[0], classes, patients=patients, resamples=20)
    metrics["thresholds"] = {"name": "best-subset", "values": dict(zip(classes, np.linspace(0.1, 0.9, 9), strict=True))}
    comparison = compare(one, other, patients=patients, resamples=20)
    texts = (
        format_table(metrics, "title"),
        format_label_sets(metrics["label_sets"]),
        format_comparison(comparison, "title"),
    )
    for text in texts:
        assert max(map(len, text.splitlines())) <= 120
        assert "None" not in text and "nan" not in text
        assert text.splitlines() == [line.rstrip() for line in text.splitlines()]


def test_where_patients_repeat_both_intervals_of_subset_accuracy_are_shown():
    one, _ = groups(60)
    patients = [str(index // 2) for index in range(60)]
    metrics = evaluate(one.labels, one.probabilities[0], one.predictions[0], CLASSES, patients=patients, resamples=100)
    row = metrics["subset_accuracy"]["all"]["intervals"]
    limits = [f"{low:.3f}-{high:.3f}" for low, high in (row["accuracy"], row["accuracy_by_patient"])]
    table = format_table(metrics, "title")
    assert "   ".join(limits) in table
    assert "resamples of 30 patients" in table


LABEL_SETS = """\
several classes: 4 recordings: 1 exact, 1 with all and more, 2 with a part, 0 with none

true                    n  exact  missed                  extra                 predicted, most frequent first
AF+RBBB                 3      1  AF 1                    STD 1                 AF+RBBB+STD 1, AF+RBBB 1, RBBB 1
PAC+STD                 1      0  STD 1                                         PAC 1"""


def test_the_label_set_table():
    classes = ("AF", "PAC", "RBBB", "STD")
    labels = np.array([[1, 0, 1, 0]] * 3 + [[0, 1, 0, 1], [1, 0, 0, 0]])
    predictions = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert format_label_sets(label_sets(labels, predictions, classes)) == LABEL_SETS
    assert format_label_sets(label_sets(labels[4:], predictions[4:], classes)) == "no recording has several classes"


def test_a_long_label_set_table_is_cut_and_says_so():
    one, _ = groups(300)
    found = label_sets(one.labels, one.predictions[0], CLASSES)
    text = format_label_sets(found)
    shown = sum(entry["recordings"] for entry in found["sets"][:15])
    assert text.splitlines()[-1] == (f"… and {found['recordings'] - shown} recordings with other sets")


def test_a_comparison_shows_every_metric_test_and_sentence():
    one, other = groups(60, runs=(2, 2))
    result = compare(one, other, resamples=100)
    text = format_comparison(result, "one against another")
    assert text.startswith("one against another\n")
    flat = " ".join(text.split())
    for entry in result["metrics"].values():
        assert f"{entry['candidate']['mean']:.3f} ± {entry['candidate']['sd']:.3f}" in text
        assert f"{abs(entry['interval'][0]):.3f} to" in text
    for sentence in [*result["words"], *result["notes"]]:
        assert sentence in flat
    assert text.count("exact McNemar") == 2
    for pair in result["mcnemar"]:
        for test in pair["by_label_count"].values():
            counts = [test[key] for key in ("both", "only_candidate", "only_baseline", "neither", "recordings")]
            assert "".join(f"{count:>{width}}" for count, width in zip(counts, (8, 16, 15, 9, 7), strict=True)) in text


def test_columns_of_long_names_are_told_apart():
    """Of two networks whose names begin alike; above the table they are written out."""
    one, other = groups(30)
    long = "width 0.25, attention head gap", "width 0.25, attention head conv"
    result = compare(one._replace(name=long[0]), other._replace(name=long[1]), resamples=50)
    text = format_comparison(result, "title")
    assert f"candidate {long[0]}: " in text and f"baseline {long[1]}: " in text
    heads = next(line for line in text.splitlines() if line.endswith("% interval"))
    assert heads.split()[:3] == ["candidate", "baseline", "difference"]


def test_a_table_without_dashes_needs_no_explanation():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]] * 30, np.uint8)
    wrong = np.random.default_rng(0).uniform(size=labels.shape) < 0.2
    metrics = evaluate(labels, np.where(labels ^ wrong, 0.8, 0.1), labels ^ wrong, ("AF", "PAC", "STE"), resamples=50)
    table = format_table(metrics, "title")
    assert "–" not in table and "undefined" not in table
