"""Augmentation: the spreads it says, inside the recordings only."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xecgnet_jax.data.augmentation import augment
from xecgnet_jax.data.batches import Batch

augmented = jax.jit(partial(augment, rate=500.0), static_argnames="strength")


def batch_for_augmenting():
    rng = np.random.default_rng(9)
    inside = np.array([[0, 300], [120, 300], [57, 200]], np.int32)
    signal = rng.standard_normal((3, 300, 12)).astype(np.float32)
    time = np.arange(300)[None, :]
    signal[~((time >= inside[:, :1]) & (time < inside[:, 1:]))] = 0
    return Batch(jnp.asarray(signal), np.eye(9)[:3], np.ones(3), np.array([2, 2, 1]), jnp.asarray(inside))


def test_augmenting_changes_the_recordings_samples_and_nothing_else():
    batch = batch_for_augmenting()
    changed = augmented(batch, jax.random.key(1), strength=1.0)
    for row, (first, end) in enumerate(batch.inside.tolist()):
        assert not np.any(changed.signal[row, :first])
        assert not np.any(changed.signal[row, end:])
        assert np.all(changed.signal[row, first:end] != batch.signal[row, first:end])
    jax.tree.map(np.testing.assert_array_equal, changed._replace(signal=None), batch._replace(signal=None))
    assert changed.signal.dtype == batch.signal.dtype


def test_augmenting_is_a_function_of_its_key():
    batch = batch_for_augmenting()
    one, same, other = (augmented(batch, jax.random.key(seed), strength=0.5).signal for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_augmenting_fades_with_its_strength():
    batch = batch_for_augmenting()
    none, little, usual = (
        augmented(batch, jax.random.key(3), strength=strength).signal for strength in (0.0, 1e-3, 1.0)
    )
    np.testing.assert_array_equal(none, batch.signal)
    near = np.max(np.abs(little - batch.signal))
    assert 0 < near < 0.02
    assert near < np.max(np.abs(usual - batch.signal))


def test_augmenting_has_the_spreads_it_says():
    """A signal of ones and many recordings: gain, wander, noise and lost leads from what comes out."""
    size, samples = 4000, 64
    ones = Batch(jnp.ones((size, samples, 2)), None, None, None, jnp.tile(jnp.array([[0, samples]]), (size, 1)))
    changed = np.asarray(augmented(ones, jax.random.key(4), strength=1.0).signal, np.float64)
    # White noise is what differs from sample to sample: half-normal level, σ 0.05.
    noise = np.diff(changed, axis=1).std() / np.sqrt(2)
    assert noise == pytest.approx(0.05, rel=0.05)
    # In 0.13 s the wander hardly moves: a lost lead is wander alone, and the median is the gain of the others.
    level = changed.mean(axis=1)
    assert np.median(level) == pytest.approx(np.exp(0), rel=0.05)
    assert np.mean(np.abs(level) < 0.3) == pytest.approx(0.05, abs=0.012)
    kept = level[np.all(level > 0.4, axis=1)]
    # Both leads share the recording's gain (σ 0.2); each has its own (σ 0.1) and its wander (0.2 · sin, variance 0.02).
    assert np.cov(kept.T)[0, 1] == pytest.approx(0.2**2, rel=0.2)
    assert kept.var() == pytest.approx(0.2**2 + 0.1**2 + 0.02, rel=0.15)


def test_the_wander_is_as_slow_at_any_rate():
    """What 500 Hz have in 4 s, 100 Hz have in 4 s: every fifth sample, where there is nothing but wander."""
    zeros = Batch(jnp.zeros((8, 2000, 2)), None, None, None, jnp.tile(jnp.array([[0, 2000]]), (8, 1)))
    fewer = zeros._replace(signal=zeros.signal[:, ::5], inside=zeros.inside // 5)
    fine, coarse = (
        np.asarray(augment(batch, jax.random.key(5), 1e-3, rate).signal)
        for batch, rate in ((zeros, 500.0), (fewer, 100.0))
    )
    smooth = lambda signal, width: signal[:, : len(signal[0]) // width * width].reshape(8, -1, width, 2).mean(axis=2)  # noqa: E731
    np.testing.assert_allclose(smooth(fine, 250), smooth(coarse, 50), atol=5e-5)
