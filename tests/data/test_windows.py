"""Plans of batches as a function of (seed, step); windows against brute-force slicing."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.data.planned import step_plan
from xecgnet_jax.config import ModelConfig
from xecgnet_jax.data.normalization import Normalization, mean_normalization, signal_moments
from xecgnet_jax.data.windows import WindowSpec, evaluation_windows, steps_per_epoch, training_samples
from xecgnet_jax.evaluation.inference import gather_windows

BIN = 243
POOLS = ModelConfig().pools
WINDOWS = ("crop", "pad", "whole")


def plan(seed, step, lengths, *, batch_size, window, samples):
    spec = WindowSpec(window, samples, POOLS)
    return step_plan(seed, step, lengths, batch_size=batch_size, spec=spec, samples=samples)


def lengths_of(seed, recordings, longest=3000):
    return np.random.default_rng(seed).integers(1, longest, recordings)


def epoch_of(seed, epoch, lengths, **arguments):
    steps = steps_per_epoch(len(lengths), arguments["batch_size"])
    return [plan(seed, epoch * steps + step, lengths, **arguments) for step in range(steps)]


# Recordings and batch size: few, for each compiles; a last batch that is full, nearly empty, or larger than all.
SIZES = st.sampled_from([(1, 3), (8, 8), (9, 4)])


@settings(max_examples=40, deadline=None)
@given(SIZES, st.integers(0, 2**31 - 1), st.integers(0, 40), st.sampled_from(WINDOWS))
def test_an_epoch_visits_every_recording_once(sizes, seed, epoch, window):
    """With weight 1; the filling of the last batch has weight 0 and begins the epoch's order anew."""
    recordings, batch_size = sizes
    lengths = lengths_of(1, recordings)
    plans = epoch_of(seed, epoch, lengths, batch_size=batch_size, window=window, samples=BIN)
    chosen = np.concatenate([one.recordings for one in plans])
    weights = np.concatenate([one.weights for one in plans])
    assert all(len(one.recordings) == batch_size for one in plans)
    assert sorted(chosen[weights == 1]) == list(range(recordings))
    assert set(weights.tolist()) <= {0.0, 1.0}
    assert np.all(np.diff(weights) <= 0)
    np.testing.assert_array_equal(chosen, chosen[:recordings][np.arange(len(chosen)) % recordings])


def test_every_epoch_and_every_seed_has_an_order_of_its_own():
    lengths = lengths_of(2, 16)

    def order(seed, epoch):
        plans = epoch_of(seed, epoch, lengths, batch_size=5, window="crop", samples=BIN)
        return tuple(np.concatenate([one.recordings for one in plans])[:16].tolist())

    orders = [order(seed, epoch) for seed in (0, 1, 2018) for epoch in range(5)]
    assert len(set(orders)) == len(orders)


def test_orders_are_shuffles_without_a_favourite():
    """Over 300 epochs each of 8 recordings comes first about 37 times (binomial, 5 σ either way)."""
    lengths = lengths_of(3, 8)
    first = [plan(0, epoch, lengths, batch_size=8, window="pad", samples=BIN).recordings[0] for epoch in range(300)]
    counts = np.bincount(first, minlength=8)
    assert np.all(np.abs(counts - 300 / 8) < 5 * np.sqrt(300 / 8 * 7 / 8))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_batch_is_a_function_of_seed_and_step(window):
    lengths = lengths_of(4, 9)
    arguments = {"batch_size": 4, "window": window, "samples": 2 * BIN}
    forwards = [plan(7, step, lengths, **arguments) for step in range(12)]
    backwards = [plan(7, step, lengths, **arguments) for step in reversed(range(12))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 2000), min_size=4, max_size=4),
    st.integers(0, 2**31 - 1),
    st.integers(0, 1000),
    st.sampled_from(WINDOWS),
    st.sampled_from([1, 2, 5]),
)
@example([486, 487, 485, 243], 0, 0, "whole", 2)
def test_windows_hold_all_they_can(lengths, seed, step, window, bins):
    """A window lies in the recording, or holds the whole recording and zeros to its left."""
    lengths, samples = np.array(lengths), bins * BIN
    made = plan(seed, step, lengths, batch_size=4, window=window, samples=samples)
    for recording, start, real in zip(made.recordings, made.starts, made.bins, strict=True):
        length = int(lengths[recording])
        if window == "pad":
            assert start + samples == length
            assert real == bins
        elif length >= samples:
            assert 0 <= start <= length - samples
            assert real == bins
        elif window == "crop":
            assert start + samples == length
        else:
            assert real == -(-length // BIN)
            assert start + real * BIN == length
            assert -BIN < start <= 0


def test_random_starts_are_uniform_from_end_to_end():
    """10 possible starts of 4,000 windows: each about 400 times, the first and the last included (5 σ)."""
    lengths = np.full(64, 100 + 9)
    for window in ("crop", "whole"):
        starts = np.concatenate(
            [plan(5, step, lengths, batch_size=500, window=window, samples=100).starts for step in range(8)]
        )
        counts = np.bincount(starts, minlength=10)
        assert len(counts) == 10
        assert np.all(np.abs(counts - 400) < 5 * np.sqrt(400 * 0.9))


def test_starts_differ_between_steps_and_seeds():
    lengths = np.full(8, 100_000)
    starts = [
        tuple(plan(seed, step, lengths, batch_size=8, window="crop", samples=BIN).starts.tolist())
        for seed in (0, 1)
        for step in (0, 1, 2)
    ]
    assert len(set(starts)) == 6


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=20), st.integers(1, 40))
def test_training_samples(lengths, bins):
    """`whole` needs no more than the longest recording does."""
    lengths = np.array(lengths)
    for kind in ("crop", "pad"):
        assert training_samples(WindowSpec(kind, 2880, POOLS), lengths) == (2880, False)
    needed = [BIN * int(np.ceil(length / BIN)) for length in lengths.tolist()]
    samples = min(bins * BIN, max(needed))
    assert training_samples(WindowSpec("whole", bins * BIN, POOLS), lengths) == (samples, min(needed) < samples)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12), st.sampled_from(WINDOWS), st.integers(1, 3000))
@example([2880, 2879, 2881, 5760, 5759, 1], "crop", 2880)
def test_evaluation_windows_against_brute_force(lengths, window, length):
    expected = []
    for recording, n in enumerate(lengths):
        if window == "pad":
            expected.append((recording, n - length))
        elif window == "whole":
            expected.append((recording, n - BIN * int(np.ceil(n / BIN))))
        elif n < length:
            expected.append((recording, n - length))
        else:
            start = 0
            while start + length <= n:
                expected.append((recording, start))
                start += length
    recordings, starts = evaluation_windows(np.array(lengths), WindowSpec(window, length, POOLS))
    assert list(zip(recordings.tolist(), starts.tolist(), strict=True)) == expected


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=12), st.integers(1, 3000), st.integers(1, 3000))
@example([252, 1000, 253, 100], 252, 126)
def test_overlapping_evaluation_windows_against_brute_force(lengths, length, step):
    """Each `step` samples one, and one that ends with the recording; a step of a whole window is none."""
    expected = []
    for recording, n in enumerate(lengths):
        starts = [0] if n >= length else [n - length]
        while step < length and starts[-1] + length < n:
            starts.append(min(starts[-1] + step, n - length))
        while step >= length and starts[-1] + 2 * length <= n:
            starts.append(starts[-1] + length)
        expected += [(recording, start) for start in starts]
    spec = WindowSpec("crop", length, POOLS, step=step)
    recordings, starts = evaluation_windows(np.array(lengths), spec)
    assert list(zip(recordings.tolist(), starts.tolist(), strict=True)) == expected


def test_evaluation_windows_of_the_paper():
    recordings, starts = evaluation_windows(np.array([2880, 2879, 5760, 8639]), WindowSpec("crop", 2880, POOLS))
    assert recordings.tolist() == [0, 1, 2, 2, 3, 3]
    assert starts.tolist() == [0, -1, 0, 2880, 0, 2880]


MOMENTS = Normalization(np.linspace(-1, 1, 12).astype(np.float32), np.linspace(0.2, 3, 12).astype(np.float32))


@settings(max_examples=60)
@given(st.data(), st.lists(st.integers(1, 60), min_size=1, max_size=4), st.integers(1, 80))
def test_gather_against_brute_force(data, lengths, samples):
    """Sample by sample: inside the recording normalized, outside it exactly zero."""
    rng = np.random.default_rng(6)
    corpus = [rng.standard_normal((length, 12)).astype(np.float32) for length in lengths]
    recordings = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=3))
    starts = [data.draw(st.integers(1 - samples, lengths[one] - 1)) for one in recordings]
    batch = gather_windows(corpus.__getitem__, np.array(recordings), np.array(starts), samples, MOMENTS)
    assert batch.shape == (len(recordings), samples, 12)
    assert batch.dtype == np.float32
    for row, (recording, start) in enumerate(zip(recordings, starts, strict=True)):
        there = [t for t in range(samples) if 0 <= start + t < lengths[recording]]
        for t in range(samples):
            if t in there:
                expected = (corpus[recording][start + t] - MOMENTS.mean) / MOMENTS.std
                np.testing.assert_allclose(batch[row, t], expected, rtol=1e-6, atol=1e-6)
            else:
                assert not np.any(batch[row, t])


@pytest.mark.parametrize("window", WINDOWS)
def test_short_recordings_have_their_zeros_on_the_left(window):
    """For `whole`, left of the recording up to a full bin; what a longer batch adds to the right is no real bin."""
    lengths = np.array([100, 300])
    corpus = [np.full((length, 12), 5.0, np.float32) for length in lengths]
    made = plan(0, 0, lengths, batch_size=2, window=window, samples=2 * BIN)
    unchanged = Normalization(np.zeros(12), np.ones(12))
    batch = gather_windows(corpus.__getitem__, made.recordings, made.starts, 2 * BIN, unchanged)
    for row, recording in enumerate(made.recordings.tolist()):
        end = BIN * int(made.bins[row])
        first = end - lengths[recording]
        assert made.inside[row].tolist() == [first, end]
        assert not np.any(batch[row, :first])
        assert np.all(batch[row, first:end] == 5)
        assert not np.any(batch[row, end:])


def test_normalization_is_the_mean_of_the_recordings_moments():
    """Each recording counts once, however long it is; the deviation is the mean of theirs, not of all samples."""
    rng = np.random.default_rng(8)
    corpus = [
        (offset + scale * rng.standard_normal((length, 12))).astype(np.float32)
        for offset, scale, length in ((0, 1, 50), (10, 3, 500), (-4, 0.1, 7))
    ]
    made = mean_normalization(np.stack([signal_moments(corpus[0]), signal_moments(corpus[2])]))
    np.testing.assert_allclose(made.mean, (corpus[0].mean(axis=0) + corpus[2].mean(axis=0)) / 2, rtol=1e-5)
    np.testing.assert_allclose(made.std, (corpus[0].std(axis=0) + corpus[2].std(axis=0)) / 2, rtol=1e-5)
    assert made.mean.dtype == made.std.dtype == np.float32


def test_a_lead_that_is_flat_everywhere_stays_finite():
    flat = np.tile(np.linspace(-0.3, 0.7, 12, dtype=np.float32), (40, 1))
    made = mean_normalization(np.stack([signal_moments(flat), signal_moments(flat[:7])]))
    np.testing.assert_array_equal(made.std, np.ones(12))
    batch = gather_windows([flat].__getitem__, np.array([0]), np.array([0]), 40, made)
    np.testing.assert_allclose(batch, 0, atol=1e-6)


def test_bins_of_whole_windows():
    assert WindowSpec("whole", 0, POOLS).whole_bins(np.array([1, 242, 243, 244, 486, 487])).tolist() == [
        1,
        1,
        1,
        2,
        2,
        3,
    ]
