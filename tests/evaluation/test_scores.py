"""One evaluation as a whole: what is in it, what is undefined, and that metrics and intervals belong together."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn

from xecgnet_jax.data.labels import CLASSES
from xecgnet_jax.evaluation.calibration import chance_errors
from xecgnet_jax.evaluation.intervals import bootstrap, percentile_interval, resampling_units, wilson
from xecgnet_jax.evaluation.label_sets import label_sets
from xecgnet_jax.evaluation.metrics import LABEL_COUNTS, apply_thresholds, label_set_metrics, summarize
from xecgnet_jax.evaluation.scores import all_metrics, evaluate


def simulated(recordings, seed=0):
    """(labels, probabilities): a decent model of nine classes, the rarest in 3 %."""
    rng = np.random.default_rng(seed)
    share = (0.18, 0.12, 0.04, 0.13, 0.09, 0.10, 0.26, 0.12, 0.03)
    labels = (rng.uniform(size=(recordings, 9)) < share).astype(np.uint8)
    logits = rng.normal(np.where(labels, 1.5, -2.5), 1.3)
    return labels, (1 / (1 + np.exp(-logits))).astype(np.float32)


@pytest.fixture(scope="module")
def scored():
    labels, probabilities = simulated(400)
    return (
        labels,
        probabilities,
        evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES, resamples=300, seed=7),
    )


def test_the_metrics_of_the_label_sets_are_kept(scored):
    labels, probabilities, metrics = scored
    predictions = apply_thresholds(probabilities)
    found = {name: values[0] for name, values in label_set_metrics(labels, predictions).items()}
    for name in ("precision", "recall", "f1"):
        assert metrics["micro"][name] == found[f"micro_{name}"] and metrics["macro"][name] == found[f"macro_{name}"]
        assert [row[name] for row in metrics["per_class"].values()] == found[name].tolist()
    for name in ("hamming_loss", "samples_f1", "samples_f1_empty_as_0", "macro_f1_undefined_as_0"):
        assert metrics[name] == found[name]
    assert [row["support"] for row in metrics["per_class"].values()] == labels.sum(axis=0).tolist()
    assert [row["predicted"] for row in metrics["per_class"].values()] == predictions.sum(axis=0).tolist()
    assert metrics["micro"]["support"] == labels.sum()
    assert summarize(labels, predictions) == {
        "micro_f1": metrics["micro"]["f1"],
        "macro_f1": metrics["macro"]["f1"],
        "subset_accuracy": metrics["subset_accuracy"]["all"]["accuracy"],
        "multi_label_subset_accuracy": metrics["subset_accuracy"]["multi_label"]["accuracy"],
    }


def test_groups_are_scored_over_the_classes_that_each_of_them_has():
    labels, probabilities = simulated(600)
    women, old = np.arange(600) % 2 == 0, np.arange(600) < 130
    labels[women, 8], labels[~women, 8] = 0, 1  # STE: all men, no woman
    predictions = apply_thresholds(probabilities)
    sexes = {"women": women, "men": ~women, "other": np.zeros(600, bool)}
    metrics = evaluate(labels, probabilities, predictions, CLASSES, groupings=[sexes, {"old": old}], resamples=50)
    assert list(metrics["groups"]) == ["women", "men", "old"]
    for name, rows in {"women": women, "men": ~women, "old": old}.items():
        group = metrics["groups"][name]
        of = [women, ~women] if name != "old" else [old]
        wanted = [c for c in range(9) if all(min(labels[g, c].sum(), (1 - labels[g, c]).sum()) >= 10 for g in of)]
        assert group["auroc_classes"] == [CLASSES[c] for c in wanted]
        assert 0 < len(wanted) < 9
        aurocs = [sklearn.roc_auc_score(labels[rows, c], probabilities[rows, c]) for c in wanted]
        assert group["macro_auroc"] == pytest.approx(np.mean(aurocs))
        assert group["subset_accuracy"] == sklearn.accuracy_score(labels[rows], predictions[rows])
        assert group["micro_f1"] == pytest.approx(sklearn.f1_score(labels[rows], predictions[rows], average="micro"))
        assert group["recordings"] == rows.sum()
    nothing = evaluate(
        labels[:12], probabilities[:12], predictions[:12], CLASSES, groupings=[sexes_of(12)], resamples=9
    )
    assert {(tuple(one["auroc_classes"]), one["macro_auroc"]) for one in nothing["groups"].values()} == {((), None)}


def sexes_of(recordings):
    even = np.arange(recordings) % 2 == 0
    return {"women": even, "men": ~even}


def test_the_metrics_of_the_probabilities_are_scikit_learns(scored):
    labels, probabilities, metrics = scored
    aurocs, precisions = [], []
    for c, (name, row) in enumerate(metrics["per_class"].items()):
        truth, found = labels[:, c], probabilities[:, c].astype(float)
        aurocs.append(sklearn.roc_auc_score(truth, found))
        precisions.append(sklearn.average_precision_score(truth, found))
        assert row["auroc"] == pytest.approx(aurocs[-1]), name
        assert row["average_precision"] == pytest.approx(precisions[-1]), name
        assert row["brier"] == pytest.approx(sklearn.brier_score_loss(truth, found)), name
    assert metrics["macro"]["auroc"] == pytest.approx(np.mean(aurocs))
    assert metrics["macro"]["average_precision"] == pytest.approx(np.mean(precisions))
    predictions = apply_thresholds(probabilities)
    assert metrics["hamming_loss"] == pytest.approx(sklearn.hamming_loss(labels, predictions))
    for name, empty in (("samples_f1", 1), ("samples_f1_empty_as_0", 0)):
        expected = sklearn.f1_score(labels, predictions, average="samples", zero_division=empty)
        assert metrics[name] == pytest.approx(expected)
    assert metrics["calibration"]["brier"] == pytest.approx(np.mean((probabilities.astype(float) - labels) ** 2))
    assert metrics["label_sets"] == label_sets(labels, predictions, CLASSES)


def test_every_interval_is_of_the_metric_it_stands_next_to(scored):
    labels, probabilities, metrics = scored
    found = bootstrap(
        lambda w: all_metrics(labels, probabilities, apply_thresholds(probabilities), w),
        resampling_units(400),
        resamples=300,
        seed=7,
    )

    def percentile(values):
        return pytest.approx(percentile_interval(values))

    for name in ("hamming_loss", "samples_f1", "samples_f1_empty_as_0", "macro_f1_undefined_as_0"):
        assert metrics["intervals"][name] == percentile(found[name])
    for name, interval in metrics["micro"]["intervals"].items():
        assert interval == percentile(found[f"micro_{name}"])
    for name, interval in metrics["macro"]["intervals"].items():
        assert interval == percentile(found[f"macro_{name}"])
    assert metrics["calibration"]["intervals"]["brier"] == percentile(found["overall_brier"])
    chance, overall = chance_errors(probabilities, seed=7)
    assert metrics["calibration"]["calibration_error_by_chance"] == pytest.approx(overall.mean())
    for c, row in enumerate(metrics["per_class"].values()):
        assert row["calibration_error_by_chance"] == pytest.approx(chance[:, c].mean())
        for name in ("f1", "auroc", "average_precision", "brier"):
            assert row["intervals"][name] == percentile(found[name][:, c])
        hits = round(row["recall"] * row["support"])
        assert row["intervals"]["recall"] == pytest.approx(wilson(hits, row["support"]))
        assert row["intervals"]["precision"] == pytest.approx(wilson(hits, row["predicted"]))
        assert set(row["intervals"]) == set(row) - {"support", "predicted", "calibration_error_by_chance", "intervals"}
    for row in metrics["subset_accuracy"].values():
        assert row["intervals"] == {"accuracy": pytest.approx(wilson(row["exact"], row["recordings"]))}


def test_it_is_json_and_repeats(scored):
    labels, probabilities, metrics = scored
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    again = evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES, resamples=300, seed=7)
    assert again == metrics
    other = evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES, resamples=300, seed=8)
    assert other["micro"]["intervals"] != metrics["micro"]["intervals"]
    assert metrics["resampling"] == {
        "level": 0.95,
        "resamples": 300,
        "seed": 7,
        "units": "recordings",
        "number": 400,
        "recordings": 400,
    }


def test_where_patients_repeat_they_are_resampled_and_proportions_get_a_second_interval():
    """Each recording four times: metrics stay, intervals over patients are those of one recording each."""
    labels, probabilities = simulated(150, seed=3)
    four = [np.repeat(array, 4, axis=0) for array in (labels, probabilities)]
    patients = [f"patient {index // 4}" for index in range(600)]
    single = evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES, resamples=400)
    metrics = evaluate(*four, apply_thresholds(four[1]), CLASSES, patients=patients, resamples=400)
    assert metrics["resampling"]["units"] == "patients" and metrics["resampling"]["number"] == 150
    assert metrics["micro"]["intervals"]["f1"] == pytest.approx(single["micro"]["intervals"]["f1"])
    accuracy = metrics["subset_accuracy"]["all"]
    assert accuracy["accuracy"] == single["subset_accuracy"]["all"]["accuracy"]
    assert accuracy["intervals"]["accuracy"] == pytest.approx(wilson(accuracy["exact"], 600))
    np.testing.assert_allclose(
        accuracy["intervals"]["accuracy_by_patient"], wilson(accuracy["exact"] // 4, 150), atol=0.015
    )
    found = bootstrap(
        lambda w: all_metrics(*four, apply_thresholds(four[1]), w),
        resampling_units(600, patients),
        resamples=400,
        seed=0,
    )
    for index, name in enumerate(LABEL_COUNTS):
        expected = percentile_interval(found["subset_accuracy"][:, index])
        assert metrics["subset_accuracy"][name]["intervals"]["accuracy_by_patient"] == pytest.approx(expected)
    row = metrics["per_class"]["RBBB"]["intervals"]
    assert np.ptp(row["recall_by_patient"]) > 1.5 * np.ptp(row["recall"])
    assert row["precision_by_patient"] == pytest.approx(percentile_interval(found["precision"][:, 6]))


def test_what_is_undefined_is_none_with_no_interval():
    """STE is never true, LBBB true once, Normal always true and always found; PAC is never predicted."""
    labels, probabilities = simulated(60, seed=4)
    labels[:, 8] = 0
    labels[:, 2] = np.arange(60) == 5
    labels[:, 3], probabilities[:, 3] = 1, 0.9
    labels[:7, 4], probabilities[:, 4] = 1, 0.1
    metrics = evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES, resamples=200)
    never, once, always = (metrics["per_class"][name] for name in ("STE", "LBBB", "Normal"))
    for name in ("recall", "f1", "auroc", "average_precision", "brier", "calibration_error"):
        assert never[name] is None and never["intervals"][name] is None
    assert never["calibration_error_by_chance"] is None
    assert once["auroc"] is not None and once["intervals"]["auroc"] is None  # a third of the resamples have no LBBB
    assert once["recall"] is not None and once["intervals"]["recall"] is not None  # Wilson's needs no resamples
    assert always["auroc"] is None and always["f1"] == 1
    assert always["intervals"]["f1"] is None and always["intervals"]["recall"][0] < 1
    assert metrics["per_class"]["PAC"]["precision"] is None and metrics["per_class"]["PAC"]["f1"] == 0
    assert metrics["macro"]["f1"] is not None and metrics["macro"]["intervals"]["f1"] is None  # LBBB is in it
    assert metrics["macro_f1_undefined_as_0"] < metrics["macro"]["f1"]
    assert metrics["intervals"]["macro_f1_undefined_as_0"] is not None
    assert metrics["subset_accuracy"]["no_label"]["intervals"]["accuracy"] is None
    json.dumps(metrics, allow_nan=False)


def test_one_recording_is_scored_without_bootstrap_intervals():
    labels, probabilities = simulated(1)
    metrics = evaluate(labels, probabilities, labels, CLASSES, resamples=20)
    assert metrics["hamming_loss"] == 0 and metrics["intervals"]["hamming_loss"] is None
    assert metrics["subset_accuracy"]["all"]["intervals"]["accuracy"] == pytest.approx(wilson(1, 1))


def calibration_of(slope, seed):
    """The calibration of a model of three classes whose logits are `slope` times the right ones, on 300 recordings."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 2, size=(300, 3))
    labels = (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.uint8)
    probabilities = 1 / (1 + np.exp(-slope * logits))
    return evaluate(labels, probabilities, apply_thresholds(probabilities), CLASSES[:3], resamples=200, seed=seed)[
        "calibration"
    ]


def test_right_probabilities_are_found_right_and_wrong_ones_wrong():
    right = [calibration_of(1.0, seed) for seed in range(40)]
    lower = [one["intervals"]["calibration_error"][0] for one in right]
    assert np.mean(np.array(lower) == 0) >= 0.85
    errors = [one["calibration_error"] for one in right]
    assert np.mean(errors) == pytest.approx(right[0]["calibration_error_by_chance"], rel=0.15)
    for seed in range(10):
        wrong = calibration_of(2.0, seed)
        assert wrong["intervals"]["calibration_error"][0] > 0
        assert wrong["calibration_error"] > 1.5 * wrong["calibration_error_by_chance"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda labels, p: (labels, p, labels[:, :8]), "must all be"),
        (lambda labels, p: (labels[:5], p, labels), "must all be"),
        (lambda labels, p: (labels[:0], p[:0], labels[:0]), "no recordings"),
        (lambda labels, p: (labels, p + 1, labels), "from 0 to 1"),
        (lambda labels, p: (labels, np.where(p == p[0, 0], np.nan, p), labels), "from 0 to 1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        evaluate(*change(*simulated(10)), CLASSES)
