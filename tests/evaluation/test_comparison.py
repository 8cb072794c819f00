"""Two groups: McNemar against statsmodels, intervals that hold the truth, and words that say what follows."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from xecgnet_jax.evaluation.comparison import (
    METRICS,
    Group,
    compare,
    estimate_difference,
    exact_p,
    least_difference,
    mcnemar,
    pair_runs,
)
from xecgnet_jax.evaluation.intervals import percentile_interval, resample_counts, resampling_units, wilson
from xecgnet_jax.evaluation.scores import evaluate

counts = st.integers(0, 60)


def group(name, labels, predictions, seeds=None):
    """A group whose probabilities are its predictions, a little noisy; [K, R, C] or [R, C] for one run."""
    predictions = np.asarray(predictions, np.uint8)
    predictions = predictions.reshape(-1, *np.shape(labels))
    noise = np.random.default_rng(0).uniform(0, 0.3, predictions.shape)
    runs = tuple(f"{name}-{index}" for index in range(len(predictions)))
    seeds = tuple(range(len(predictions))) if seeds is None else seeds
    return Group(name, runs, seeds, labels, np.abs(predictions - noise), predictions)


def exact_on(labels, *exact):
    """Predictions [K, R, C] that are exact where `exact` [R] says so; else the first class is wrong."""
    predictions = np.repeat(np.asarray(labels, np.uint8)[None], len(exact), axis=0)
    for run, right in zip(predictions, exact, strict=True):
        run[~np.asarray(right, bool), 0] ^= 1
    return predictions


def discordant(both, only_candidate, only_baseline, neither):
    """Which recordings each group is exact on: two [R] bool."""
    return (
        np.repeat([True, True, False, False], [both, only_candidate, only_baseline, neither]),
        np.repeat([True, False, True, False], [both, only_candidate, only_baseline, neither]),
    )


def two_runs(both, only_candidate, only_baseline, neither, classes=2, **keywords):
    """Comparison of two runs on recordings of `classes` classes each, of four."""
    labels = np.zeros((both + only_candidate + only_baseline + neither, 4), np.uint8)
    labels[:, :classes] = 1
    labels[::3] = np.roll(labels[::3], 1, axis=1)
    one, other = discordant(both, only_candidate, only_baseline, neither)
    groups = (group(name, labels, exact_on(labels, exact)) for name, exact in (("A", one), ("B", other)))
    return compare(*groups, resamples=keywords.pop("resamples", 400), **keywords)


@given(counts, counts, counts, counts)
def test_mcnemars_test_is_statsmodels(both, only_candidate, only_baseline, neither):
    found = mcnemar(*discordant(both, only_candidate, only_baseline, neither))
    assert [found[key] for key in ("both", "only_candidate", "only_baseline", "neither")] == [
        both,
        only_candidate,
        only_baseline,
        neither,
    ]
    if not found["recordings"]:
        assert found["p"] is None
    elif only_candidate + only_baseline:
        theirs = statsmodels_mcnemar([[both, only_candidate], [only_baseline, neither]], exact=True).pvalue
        assert found["p"] == pytest.approx(theirs)
    else:
        assert found["p"] == 1


@pytest.mark.parametrize("number", range(31))
def test_the_least_difference_is_the_least(number):
    least = least_difference(number)
    total = max(number, 6)
    splits = {abs(total - 2 * more): exact_p(more, total - more) for more in range(total + 1)}
    assert splits[least] < 0.05
    assert all(p >= 0.05 for size, p in splits.items() if size < least)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 1, 2), (2, 1, 0), [(0, 2), (1, 1), (2, 0)]),
        ((0, 1, 2), (1,), [(1, 0)]),
        ((0, 1), (5, 6), [(0, 0), (1, 1)]),
        ((0, None), (1, 0), [(0, 0), (1, 1)]),
        ((0, 0), (0, 1), [(0, 0), (1, 1)]),
        ((0, 1, 2), (5,), []),
    ],
)
def test_runs_are_paired_by_seed_else_by_position(one, other, expected):
    assert pair_runs(one, other) == expected


def test_the_published_difference_is_bracketed_by_its_possible_tables():
    """77 against 69 of 91: what the paper does not say, how often only one was right, decides."""
    tables = [(8 + more, more) for more in range(15)]  # 14: no recording has both wrong
    p = {table: exact_p(*table) for table in tables}
    assert p[8, 0] == pytest.approx(2 / 2**8)
    assert [round(p[table], 3) for table in tables[:4]] == [0.008, 0.021, 0.039, 0.057]
    assert [table for table in tables if p[table] < 0.05] == [(8, 0), (9, 1), (10, 2)]
    assert round(p[22, 14], 3) == 0.243
    assert [round(limit, 3) for limit in wilson(77, 91)] == [0.758, 0.906]
    assert [round(limit, 3) for limit in wilson(69, 91)] == [0.661, 0.835]


@pytest.mark.parametrize(
    ("table", "verdict", "interval", "words"),
    [
        ((69, 8, 0, 14), "better", (0.033, 0.154), "A is the better of the two runs"),
        (
            (66, 11, 3, 11),
            "not distinguishable",
            (0.011, 0.165),
            "the interval leaves out 0, but the exact test does not",
        ),
        ((55, 22, 14, 0), "not distinguishable", (-0.044, 0.209), "does not tell them apart"),
    ],
)
def test_the_published_difference_under_three_tables(table, verdict, interval, words):
    entry = two_runs(*table, resamples=4000)["metrics"]["subset_accuracy_multi_label"]
    assert entry["difference"] == pytest.approx(8 / 91)
    assert entry["interval"] == pytest.approx(interval, abs=0.012)
    assert entry["verdict"] == verdict and words in entry["words"]
    assert "is exact on 77 and B on 69" in entry["words"]


def test_a_difference_that_is_none_and_how_small_a_one_could_have_been_seen():
    result = two_runs(6, 4, 3, 16)
    entry = result["metrics"]["subset_accuracy_multi_label"]
    low, high = entry["interval"]
    assert entry["words"] == (
        "On these 29 recordings with several classes, A is exact on 10 and B on 9; the difference of +0.034 (95 % "
        f"interval −{-low:.3f} to +{high:.3f}; exact McNemar p = 1.000) does not tell them apart. With 29 such "
        "recordings, a difference below about 0.241 could not have been seen."
    )
    assert entry["detectable"] == 7 / 29  # all seven in one run
    assert exact_p(7, 0) < 0.05 <= exact_p(6, 1)
    assert result["words"][2] == entry["words"]
    assert "There are no recordings with one class" in result["words"][1]
    assert result["metrics"]["subset_accuracy_single_label"]["verdict"] == "undefined"


def test_a_clear_difference_has_a_winner_whichever_group_it_is():
    ahead, behind = two_runs(40, 20, 1, 19), two_runs(40, 1, 20, 19)
    for result, verdict, name in ((ahead, "better", "A"), (behind, "worse", "B")):
        for key in ("subset_accuracy_all", "subset_accuracy_multi_label", "micro_f1", "samples_f1", "hamming_loss"):
            assert result["metrics"][key]["verdict"] == verdict, key
        assert f"{name} is the better of the two runs" in result["words"][0]
        assert "could not have been seen" not in result["words"][0]
    assert ahead["metrics"]["hamming_loss"]["difference"] < 0 < ahead["metrics"]["micro_f1"]["difference"]
    for key, entry in ahead["metrics"].items():
        if entry["interval"] is not None:
            low, high = behind["metrics"][key]["interval"]
            assert entry["interval"] == pytest.approx([-high, -low], abs=0.03), key


def test_groups_that_predict_the_same_are_said_to():
    result = two_runs(20, 0, 0, 9)
    for key, entry in result["metrics"].items():
        if not key.startswith("subset_accuracy_single") and not key.startswith("macro_a"):
            assert entry["verdict"] == "identical" and entry["difference"] == 0 and entry["interval"] is None, key
    assert (
        result["words"][0] == "On these 29 recordings, A and B predict the same classes: there is nothing to compare."
    )
    assert result["words"][3].startswith("Micro F1 of A and B is the same, 0.")


def test_groups_that_are_wrong_in_other_ways_on_the_same_recordings():
    labels = np.tile([[1, 1, 0, 0]], (12, 1)).astype(np.uint8)
    one, other = (labels.copy() for _ in range(2))
    one[:5, 2], other[:5, 3] = 1, 1
    result = compare(group("A", labels, one), group("B", labels, other), resamples=50)
    assert result["metrics"]["subset_accuracy_all"]["verdict"] == "identical"
    assert "exact on the same 7: they differ only in how they are wrong" in result["words"][0]
    one[:, 2], other[:, 3] = 1, 1
    result = compare(group("A", labels, one), group("B", labels, other), resamples=50)
    assert result["words"][0] == "On these 12 recordings, neither A nor B is exact on any."


def test_each_label_count_is_judged_by_its_own_recordings():
    """The groups differ where one class is true; where several are, they are the same."""
    labels = np.repeat(np.array([[1, 0, 0, 0], [1, 1, 0, 0]], np.uint8), [40, 12], axis=0)
    one = exact_on(labels, np.arange(52) >= 0)
    other = exact_on(labels, np.arange(52) >= 15)
    result = compare(group("A", labels, one), group("B", labels, other), resamples=100)
    assert [result["metrics"][f"subset_accuracy_{name}"]["verdict"] for name in result["recordings"]] == [
        "better",
        "better",
        "identical",
    ]
    assert result["recordings"] == {"all": 52, "single_label": 40, "multi_label": 12}
    assert "On these 12 recordings with several classes, A and B predict the same classes" in result["words"][2]


def test_the_degrees_of_freedom_of_a_label_count_are_of_the_patients_it_has():
    one, other = random_groups(np.random.default_rng(10))
    patients = [str(index // 3) for index in range(80)]
    result = compare(one, other, patients=patients, resamples=200)
    for name, least in (("all", 0), ("multi_label", 2)):
        members = one.labels.sum(axis=1) >= least
        entry = result["metrics"][f"subset_accuracy_{name}"]
        clusters = len({patient for patient, member in zip(patients, members, strict=True) if member})
        parts = entry["standard_error"]
        variance = sum(part**2 for part in parts.values())
        below = parts["recordings"] ** 4 / (clusters - 1) + (parts["candidate"] ** 4 + parts["baseline"] ** 4) / 2
        assert entry["degrees_of_freedom"] == pytest.approx(variance**2 / below)


def test_few_recordings_are_said_to_show_nothing():
    words = two_runs(1, 2, 0, 1)["metrics"]["subset_accuracy_multi_label"]["words"]
    assert "does not tell them apart. So few recordings could not have shown any difference." in words
    words = two_runs(0, 1, 0, 0)["metrics"]["subset_accuracy_multi_label"]["words"]
    assert words.startswith("On the one recording with several classes, A is exact on 1 and B on 0;")
    assert "no interval" in words and "does not tell them apart" in words


def test_a_group_that_is_always_right_beats_one_that_never_is():
    """No resample differs from another, so there is no interval; the exact test needs none."""
    entry = two_runs(0, 30, 0, 0)["metrics"]["subset_accuracy_multi_label"]
    assert entry["interval"] is None and entry["verdict"] == "better"
    assert "no interval; exact McNemar p < 0.001" in entry["words"]


def random_groups(rng, recordings=80, runs=(3, 3), classes=4):
    labels = (rng.uniform(size=(recordings, classes)) < 0.35).astype(np.uint8)
    made = []
    for name, number in zip("AB", runs, strict=True):
        wrong = rng.uniform(size=(number, recordings, classes)) < rng.uniform(0.05, 0.15, size=(number, 1, 1))
        made.append(group(name, labels, labels ^ wrong))
    return made


def test_metrics_of_the_runs_are_those_of_their_evaluations():
    one, other = random_groups(np.random.default_rng(1), runs=(1, 3))
    result = compare(one, other, resamples=30)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert list(result["metrics"]) == list(METRICS)
    for key, runs in (("candidate", one), ("baseline", other)):
        for run in range(len(runs.runs)):
            arrays = runs.labels, runs.probabilities[run], runs.predictions[run]
            metrics = evaluate(*arrays, tuple("abcd"), resamples=2)
            expected = {
                "subset_accuracy_all": metrics["subset_accuracy"]["all"]["accuracy"],
                "subset_accuracy_single_label": metrics["subset_accuracy"]["single_label"]["accuracy"],
                "subset_accuracy_multi_label": metrics["subset_accuracy"]["multi_label"]["accuracy"],
                "micro_f1": metrics["micro"]["f1"],
                "macro_f1": metrics["macro"]["f1"],
                "samples_f1": metrics["samples_f1"],
                "hamming_loss": metrics["hamming_loss"],
                "macro_auroc": metrics["macro"]["auroc"],
                "macro_average_precision": metrics["macro"]["average_precision"],
            }
            for name, value in expected.items():
                assert result["metrics"][name][key]["values"][run] == pytest.approx(value), name
    for entry in result["metrics"].values():
        values = entry["baseline"]["values"]
        assert (entry["candidate"]["sd"], entry["baseline"]["mean"]) == (None, pytest.approx(np.mean(values)))
        assert entry["baseline"]["sd"] == pytest.approx(np.std(values, ddof=1))
        assert entry["difference"] == pytest.approx(entry["candidate"]["mean"] - entry["baseline"]["mean"])


def test_one_run_each_gets_the_paired_bootstrap_on_common_resamples():
    """The difference of means is the mean of differences: resampled as numbers by themselves."""
    one, other = random_groups(np.random.default_rng(2), runs=(1, 1))
    patients = [str(index // 2) for index in range(80)]
    entry = compare(one, other, patients=patients, resamples=500, seed=5)["metrics"]["subset_accuracy_all"]
    exact = [np.all(s.predictions[0] == s.labels, axis=1).astype(float) for s in (one, other)]
    weights = np.concatenate(list(resample_counts(resampling_units(80, patients), 500, 5)))
    assert entry["interval"] == pytest.approx(
        percentile_interval(weights @ (exact[0] - exact[1]) / weights.sum(axis=1))
    )
    assert entry["method"] == "bootstrap" and "degrees_of_freedom" not in entry


def test_without_recordings_to_vary_the_interval_is_welchs():
    """Where resampling changes nothing, what is left is the t interval of two samples with unequal variances."""
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.8, 0.02, 4), rng.normal(0.75, 0.01, 3)
    found = estimate_difference(one, other, np.full(100, one.mean() - other.mean()), units=50)
    theirs = CompareMeans(DescrStatsW(one), DescrStatsW(other)).tconfint_diff(usevar="unequal")
    assert found["interval"] == pytest.approx(theirs)
    assert found["degrees_of_freedom"] == pytest.approx(stats.ttest_ind(one, other, equal_var=False).df)


def test_the_parts_of_the_standard_error_add_up():
    rng = np.random.default_rng(4)
    one, other, resampled = np.array([0.7, 0.8, 0.75]), np.array([0.6]), rng.normal(0.15, 0.03, 500)
    found = estimate_difference(one, other, resampled, units=40)
    recordings, seeds = np.std(resampled, ddof=1), 0.05 / np.sqrt(3)
    assert found["standard_error"] == {
        "recordings": pytest.approx(recordings),
        "candidate": pytest.approx(seeds),
        "baseline": None,
    }
    variance = recordings**2 + seeds**2
    freedom = variance**2 / (recordings**4 / 39 + seeds**4 / 2)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert found["degrees_of_freedom"] == pytest.approx(freedom)
    assert found["interval"] == pytest.approx([0.15 - half, 0.15 + half])
    assert found["detectable"] == pytest.approx(half)


def covered(experiments, runs, recordings, seed_sd, own_sd, truth):
    """How often the interval holds the true difference in the share of exact recordings.

    Each recording has a difficulty that all runs share; each run is better or worse as a whole by its seed, and by
    `own_sd` on each recording by itself. What is true is the mean over seeds and recordings.
    """
    quantile = stats.norm.ppf
    hits, widths = 0, []
    for experiment in range(experiments):
        rng = np.random.default_rng(experiment)
        difficulty = rng.normal(size=recordings)
        exact = []
        for number, share in zip(runs, truth, strict=True):
            spread = np.sqrt(1 + seed_sd**2 + own_sd**2)
            skill = quantile(share) * spread + seed_sd * rng.normal(size=(number, 1))
            exact.append(skill + own_sd * rng.normal(size=(number, recordings)) > difficulty)
        means = [runs_.mean(axis=1) for runs_ in exact]
        weights = next(resample_counts(resampling_units(recordings), 200, experiment))
        resampled = weights @ (exact[0].mean(axis=0) - exact[1].mean(axis=0)) / recordings
        low, high = estimate_difference(*means, resampled, recordings)["interval"] or (0, 0)  # every run alike: a miss
        hits += low <= truth[0] - truth[1] <= high
        widths.append(high - low)
    return hits / experiments, float(np.mean(widths))


@pytest.mark.parametrize(("seed_sd", "own_sd"), [(0.3, 0.0), (0.1, 0.5), (0.0, 1.0)])
def test_intervals_of_several_seeds_hold_the_true_difference(seed_sd, own_sd):
    """At least 95 %, within what 400 experiments can show; nowhere so wide as to say nothing."""
    share, width = covered(400, (3, 3), 200, seed_sd, own_sd, (0.75, 0.7))
    assert share >= 0.925
    assert width < (0.8 if seed_sd > 0.2 else 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [(2, 2), (3, 3), (3, 5), (10, 10)])
@pytest.mark.parametrize(("seed_sd", "own_sd"), [(0.3, 0.0), (0.1, 0.5), (0.0, 1.0)])
def test_intervals_of_several_seeds_hold_the_true_difference_at_length(runs, seed_sd, own_sd):
    share, _ = covered(2000, runs, 200, seed_sd, own_sd, (0.75, 0.7))
    assert share >= 0.935


def test_resampling_recordings_alone_would_forget_the_seeds():
    """What the interval is for: with seeds that vary, the bootstrap by itself holds the truth far too seldom."""
    hits = 0
    for experiment in range(200):
        rng = np.random.default_rng(experiment)
        difficulty = rng.normal(size=200)
        one, other = (rng.normal(0.5, 0.3, size=(3, 1)) > difficulty for _ in range(2))
        weights = next(resample_counts(resampling_units(200), 200, experiment))
        low, high = percentile_interval(weights @ (one.mean(axis=0) - other.mean(axis=0)) / 200) or (0, 0)
        hits += low <= 0 <= high
    assert hits / 200 < 0.7


def test_several_seeds_are_told_with_every_run():
    labels = np.tile([[1, 1, 0, 0]], (29, 1)).astype(np.uint8)
    exact = [np.arange(29) < number for number in (10, 9, 9)]
    other = [np.arange(29) < number for number in (9, 10, 8)]
    result = compare(
        group("A", labels, exact_on(labels, *exact)), group("B", labels, exact_on(labels, *other)), resamples=300
    )
    entry = result["metrics"]["subset_accuracy_multi_label"]
    assert "A is exact on 9.3 (10, 9, 9) and B on 9.0 (9, 10, 8); the difference of +0.011" in entry["words"]
    assert "McNemar" not in entry["words"] and entry["method"] == "t"
    assert [pair["seed"] for pair in result["mcnemar"]] == [0, 1, 2]
    assert [pair["by_label_count"]["all"]["only_candidate"] for pair in result["mcnemar"]] == [1, 0, 1]
    assert any("do not pool" in note for note in result["notes"])
    assert not any("single run" in note for note in result["notes"])


def test_the_same_runs_in_another_order_are_no_identical_groups():
    """Their means agree in every resample, but their seeds vary: other seeds might differ."""
    labels = np.tile([[1, 1, 0, 0]], (20, 1)).astype(np.uint8)
    runs = exact_on(labels, np.arange(20) < 15, np.arange(20) < 5)
    result = compare(group("A", labels, runs), group("B", labels, runs[::-1]), resamples=50)
    entry = result["metrics"]["subset_accuracy_all"]
    assert (entry["difference"], entry["identical"], entry["verdict"]) == (0, False, "not distinguishable")
    assert entry["detectable"] > 1  # two runs in each group, half the recordings apart: nothing could be seen
    assert entry["words"].endswith("So few recordings and runs could not have shown any difference.")


def test_a_single_run_against_several_has_an_unknown_spread():
    result = compare(*random_groups(np.random.default_rng(6), runs=(1, 3)), resamples=50)
    assert any("A is a single run: the spread of its seeds is unknown" in note for note in result["notes"])
    assert [(pair["candidate"], pair["baseline"]) for pair in result["mcnemar"]] == [("A-0", "B-0")]
    labels = np.tile([[1, 0, 0, 0]], (60, 1)).astype(np.uint8)
    poor = exact_on(labels, *(np.arange(60) < number for number in (20, 22, 21)))
    clear = compare(group("A", labels, labels), group("B", labels, poor), resamples=50)
    assert "A is better, if the one run of A is typical" in clear["words"][0]


def test_two_single_runs_are_said_to_be_no_more_than_that():
    notes = two_runs(20, 5, 3, 4)["notes"]
    assert any("One run in each group" in note for note in notes)


def test_patients_with_several_recordings_are_noted():
    one, other = random_groups(np.random.default_rng(7), runs=(1, 1))
    result = compare(one, other, patients=[str(index // 4) for index in range(80)], resamples=50)
    assert result["resampling"]["units"] == "patients" and result["resampling"]["number"] == 20
    assert any("McNemar's test takes recordings as independent" in note for note in result["notes"])


def test_without_common_seeds_or_numbers_no_runs_are_paired():
    one, other = random_groups(np.random.default_rng(8), runs=(2, 3))
    result = compare(one, other._replace(seeds=(5, 6, 7)), resamples=20)
    assert result["mcnemar"] == [] and any("No McNemar tests" in note for note in result["notes"])


def test_groups_that_do_not_fit_are_refused():
    one, other = random_groups(np.random.default_rng(9))
    with pytest.raises(ValueError, match="A and B have different labels"):
        compare(one, other._replace(labels=1 - other.labels))
    with pytest.raises(ValueError, match="2 seeds"):
        compare(one._replace(seeds=(0, 1)), other)
    with pytest.raises(ValueError, match="must all be"):
        compare(one, other._replace(predictions=other.predictions[:, :5]))
    with pytest.raises(ValueError, match="at least one"):
        compare(one, Group("B", (), (), other.labels, other.probabilities[:0], other.predictions[:0]))
