"""Wilson against statsmodels, the bootstrap against SciPy's, and how often intervals hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from xecgnet_jax.evaluation.intervals import (
    basic_interval,
    bootstrap,
    percentile_interval,
    resample_counts,
    resampling_units,
    standard_error,
    wilson,
)
from xecgnet_jax.evaluation.metrics import label_set_metrics, ranking_metrics


@given(st.integers(1, 3000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_is_statsmodels(case):
    assert wilson(*case) == pytest.approx(proportion_confint(*case, method="wilson"), abs=1e-12)


@pytest.mark.parametrize(("exact", "published"), [(77, (0.758, 0.906)), (69, (0.661, 0.835))])
def test_wilson_of_the_published_subset_accuracies(exact, published):
    assert tuple(round(limit, 3) for limit in wilson(exact, 91)) == published


def test_a_proportion_of_nothing_has_no_interval():
    assert wilson(0, 0) is None


def test_wilson_holds_the_truth_as_often_as_it_says():
    """Exactly, over all outcomes of 91 recordings: 95 % on average over proportions, never far below."""
    trials = 91
    limits = np.array([wilson(successes, trials) for successes in range(trials + 1)])
    truths = np.linspace(0.05, 0.95, 181)
    holds = (limits[:, :1] <= truths) & (truths <= limits[:, 1:])
    coverage = (stats.binom.pmf(np.arange(trials + 1)[:, None], trials, truths) * holds).sum(axis=0)
    assert coverage.mean() == pytest.approx(0.95, abs=0.005)
    assert coverage.min() > 0.9


def sample(rng, recordings):
    labels = (rng.uniform(size=(recordings, 3)) < (0.3, 0.2, 0.1)).astype(np.uint8)
    probabilities = 1 / (1 + np.exp(-rng.normal(np.where(labels, 1.2, -1.5), 1.2)))
    return labels, probabilities, (probabilities >= 0.5).astype(np.uint8)


def test_the_bootstrap_is_scipys():
    """The same percentile interval from other draws: micro F1 and AUROC of a class."""
    labels, probabilities, predictions = sample(np.random.default_rng(0), 200)
    found = bootstrap(
        lambda w: label_set_metrics(labels, predictions, w) | ranking_metrics(labels, probabilities, w),
        resampling_units(200),
        resamples=4000,
        seed=1,
    )

    def micro_f1(rows):
        return label_set_metrics(labels[rows], predictions[rows])["micro_f1"][0]

    def auroc(rows):
        return ranking_metrics(labels[rows], probabilities[rows])["auroc"][0, 0]

    for resampled, statistic in ((found["micro_f1"], micro_f1), (found["auroc"][:, 0], auroc)):
        theirs = stats.bootstrap(
            (np.arange(200),), statistic, n_resamples=4000, method="percentile", vectorized=False, rng=2
        )
        width = theirs.confidence_interval.high - theirs.confidence_interval.low
        assert percentile_interval(resampled) == pytest.approx(theirs.confidence_interval, abs=0.08 * width)
        assert standard_error(resampled) == pytest.approx(theirs.standard_error, rel=0.06)


def test_resamples_draw_as_many_units_as_there_are_and_take_them_whole():
    units = resampling_units(7, ["a", "b", "a", None, None, "c", "a"])
    assert (units.number, units.repeat) == (5, True)
    counts = np.concatenate(list(resample_counts(units, 3000, seed=3)))
    assert counts.shape == (3000, 7)
    assert (counts[:, 0] == counts[:, 2]).all() and (counts[:, 0] == counts[:, 6]).all()
    distinct = counts[:, [0, 1, 3, 4, 5]]
    assert (distinct.sum(axis=1) == 5).all()
    assert (counts[:, 3] != counts[:, 4]).any()  # two unknown patients are not one
    np.testing.assert_allclose(distinct.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(distinct.var(axis=0), 4 / 5, atol=0.1)


@pytest.mark.parametrize("patients", [None, [None] * 4, ["a", "b", "c", None]])
def test_without_repeated_patients_recordings_are_drawn(patients):
    units = resampling_units(4, patients)
    assert (units.number, units.repeat) == (4, False)
    assert units.of_recording.tolist() == [0, 1, 2, 3]


def test_chunks_do_not_show_in_what_is_drawn():
    """A corpus so large that a chunk holds few resamples; memory stays bounded."""
    recordings = 600_000
    chunks = list(resample_counts(resampling_units(recordings), 8, seed=4))
    assert len(chunks) > 1 and max(chunk.nbytes for chunk in chunks) <= 32e6
    drawn = np.random.default_rng(4).integers(recordings, size=(8, recordings))
    expected = np.stack([np.bincount(row, minlength=recordings) for row in drawn])
    np.testing.assert_array_equal(np.concatenate(chunks), expected)


def test_impossible_requests_are_refused():
    with pytest.raises(ValueError, match="2 patients for 3 recordings"):
        resampling_units(3, ["a", "b"])
    with pytest.raises(ValueError, match="0 resamples"):
        next(resample_counts(resampling_units(3), 0, seed=0))


def test_an_interval_needs_nine_tenths_of_the_resamples_and_a_difference_between_them():
    values = np.arange(100.0)
    values[:10] = np.nan
    assert percentile_interval(values) == pytest.approx((10 + 0.025 * 89, 10 + 0.975 * 89))
    assert standard_error(values) == pytest.approx(np.std(values[10:], ddof=1))
    values[10] = np.nan
    assert percentile_interval(values) is None and standard_error(values) is None
    assert percentile_interval(np.full(100, 0.7)) is None
    assert percentile_interval(np.full(100, np.nan)) is None


def test_a_basic_interval_is_mirrored_at_the_value_and_cut_off_at_0():
    values = np.arange(101.0)
    assert basic_interval(60.0, values) == pytest.approx((22.5, 117.5))
    assert basic_interval(40.0, values) == pytest.approx((0, 77.5))
    assert basic_interval(1.0, np.ones(50)) is None


def held(intervals, truth):
    return np.mean([low <= truth <= high for low, high in intervals])


def test_the_bootstrap_holds_the_truth_about_as_often_as_it_says():
    """Micro F1 and AUROC of 200 recordings, 250 times; the truth is that of 200,000 recordings."""
    labels, probabilities, predictions = sample(np.random.default_rng(10), 200_000)
    truth = label_set_metrics(labels, predictions)["micro_f1"][0]
    auroc = ranking_metrics(labels[:, :1], probabilities[:, :1])["auroc"][0, 0]
    f1s, aurocs = [], []
    for seed in range(250):
        labels, probabilities, predictions = sample(np.random.default_rng(seed), 200)
        found = bootstrap(
            lambda w, one=labels, p=probabilities, two=predictions: (
                label_set_metrics(one, two, w) | ranking_metrics(one[:, :1], p[:, :1], w)
            ),
            resampling_units(200),
            resamples=300,
            seed=seed,
        )
        f1s.append(percentile_interval(found["micro_f1"]))
        aurocs.append(percentile_interval(found["auroc"][:, 0]))
    assert 0.91 <= held(f1s, truth) <= 0.985
    assert 0.89 <= held(aurocs, auroc) <= 0.985


def test_patients_must_be_drawn_whole():
    """Four like recordings of each patient: intervals over recordings are half as wide as they should be."""
    by_patient, by_recording = [], []
    ones = np.ones((240, 1), np.uint8)
    patients = [str(number) for number in np.repeat(np.arange(60), 4)]

    def interval(exact, known, seed):
        found = bootstrap(
            lambda w: label_set_metrics(ones, exact, w), resampling_units(240, known), resamples=300, seed=seed
        )
        return percentile_interval(found["subset_accuracy"][:, 0])

    for seed in range(200):
        exact = np.repeat(np.random.default_rng(seed).uniform(size=(60, 1)) < 0.7, 4, axis=0)
        by_patient.append(interval(exact, patients, seed))
        by_recording.append(interval(exact, None, seed))
    assert 0.9 <= held(by_patient, 0.7) <= 0.99
    assert held(by_recording, 0.7) < 0.8
