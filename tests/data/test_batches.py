"""Batches: counts from the host or the device, normalized by one function, against the plain rule in float64."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.data.planned import make_batch, step_plan
from xecgnet_jax.config import Config, DataConfig, ModelConfig
from xecgnet_jax.data.batches import cut_counts, gather_counts, recording_table, to_batch
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.normalization import Normalization, scale_and_shift
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.windows import Plan, WindowSpec, epoch_plan, training_samples, window_spec
from xecgnet_jax.evaluation.inference import gather_windows
from xecgnet_jax.training.feed import lay_out

BIN = 243
POOLS = ModelConfig().pools
WINDOWS = ("crop", "pad", "whole")


def plan(seed, step, lengths, *, batch_size, window, samples):
    spec = WindowSpec(window, samples, POOLS)
    return step_plan(seed, step, lengths, batch_size=batch_size, spec=spec, samples=samples)


def part_of(kind, **values):
    """One of a dataclass of which only these fields matter."""
    return kind(**(dict.fromkeys(field.name for field in dataclasses.fields(kind)) | values))


def made_up_dataset(lengths, seed=0):
    """A pack's arrays and a part of its recordings, in an order of their own."""
    rng = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    recordings = len(lengths)
    pack = part_of(
        Pack,
        samples=rng.integers(-(2**15), 2**15, (offsets[-1], 12)).astype(np.int16),
        offsets=offsets,
        step=rng.choice([1e-3, 4.88e-3, 1 / 3000], (recordings, 12)),
        zero=rng.choice([0.0, 1000.0, -52_000.0], (recordings, 12)),
        labels=rng.integers(0, 2, (recordings, 9)).astype(np.uint8),
    )
    train = rng.permutation(recordings)[: max(1, recordings - 2)]
    moments = Normalization(rng.normal(0, 0.5, 12).astype(np.float32), rng.uniform(0.1, 2, 12).astype(np.float32))
    return part_of(Dataset, pack=pack, train=train, normalization=moments, weights=rng.integers(0, 4, recordings) / 2)


def config_of(window, length, batch_size=4, seed=0):
    return Config(data=DataConfig(window=window, seconds=length / 500), batch_size=batch_size, seed=seed)


def millivolts(pack, row):
    """[N, 12] float64: what the counts say."""
    return (pack.samples[pack.offsets[row] : pack.offsets[row + 1]] - pack.zero[row]) * pack.step[row]


# Few numbers of recordings: each compiles.
LENGTHS = st.integers(0, 1000).map(lambda seed: np.random.default_rng(seed).integers(1, 1300, 7).tolist())


@settings(max_examples=40, deadline=None)
@given(LENGTHS, st.integers(0, 2**31 - 1), st.integers(0, 300), st.sampled_from(WINDOWS), st.sampled_from([1, 3]))
@example([BIN] * 7, 0, 3, "whole", 2)
@example([1] * 7, 0, 0, "crop", 1)
def test_the_device_cuts_the_same_counts_as_the_host(lengths, seed, step, window, bins):
    dataset = made_up_dataset(lengths)
    table = recording_table(dataset)
    config = config_of(window, bins * BIN, seed=seed)
    samples, masked = training_samples(window_spec(config), table.lengths)
    chosen = plan(seed, step, table.lengths, batch_size=4, window=window, samples=samples)
    on_host = gather_counts(dataset.pack.samples, dataset.pack.offsets[dataset.train], chosen, samples)
    on_device = np.array(jax.jit(cut_counts, static_argnums=2)(lay_out(dataset, samples), chosen, samples))
    for row, (first, end) in enumerate(chosen.inside.tolist()):
        np.testing.assert_array_equal(on_host[row, first:end], on_device[row, first:end])
        assert not np.any(on_host[row, :first]) and not np.any(on_host[row, end:])
    jitted = jax.jit(partial(to_batch, masked=masked))
    for one, other in zip(jitted(on_host, chosen, table), jitted(on_device, chosen, table), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("window", WINDOWS)
def test_batches_are_the_plain_rule_in_float64(window):
    """(mV − mean) / std inside the recording, zero outside it; one part in 10⁶ of the larger of the two terms."""
    dataset = made_up_dataset([700, 243, 100, 1215, 486, 999, 20, 5000])
    config = config_of(window, 3 * BIN, seed=5)
    lengths = dataset.pack.lengths[dataset.train]
    for step in range(6):
        batch = make_batch(config, dataset, step)
        chosen = plan(5, step, lengths, batch_size=4, window=window, samples=3 * BIN)
        np.testing.assert_array_equal(batch.labels, dataset.pack.labels[dataset.train[chosen.recordings]])
        own = dataset.weights[dataset.train[chosen.recordings]]
        np.testing.assert_array_equal(batch.weights, chosen.weights * own)
        for row, (recording, start) in enumerate(zip(chosen.recordings, chosen.starts, strict=True)):
            signal = millivolts(dataset.pack, dataset.train[recording])
            moments = [moment.astype(np.float64) for moment in dataset.normalization]
            expected, size = np.zeros((3 * BIN, 12)), np.zeros((3 * BIN, 12))
            for t in range(3 * BIN):
                if 0 <= start + t < len(signal):
                    expected[t] = (signal[start + t] - moments[0]) / moments[1]
                    size[t] = np.abs(signal[start + t]) + np.abs(moments[0])
                    size[t] += np.abs(
                        dataset.pack.zero[dataset.train[recording]] * dataset.pack.step[dataset.train[recording]]
                    )
            error = np.abs(np.asarray(batch.signal[row], np.float64) - expected)
            assert np.all(error <= 1e-6 * size / moments[1])


def test_batches_are_what_evaluation_sees_of_the_same_windows():
    dataset = made_up_dataset([700, 243, 100, 1215, 486])
    dataset.pack.zero[:] = 0
    signals = [millivolts(dataset.pack, row).astype(np.float32) for row in range(5)]
    config = config_of("crop", 300)
    batch = make_batch(config, dataset, 3)
    chosen = plan(0, 3, dataset.pack.lengths[dataset.train], batch_size=4, window="crop", samples=300)
    rows = dataset.train[chosen.recordings]
    expected = gather_windows(signals.__getitem__, rows, chosen.starts, 300, dataset.normalization)
    np.testing.assert_array_equal(batch.inside, chosen.inside)
    np.testing.assert_allclose(batch.signal, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_scales_of_a_zero_beyond_16_bits():
    moments = Normalization(np.float32([0.5]), np.float32([2.0]))
    scale, shift = scale_and_shift(np.array([[1e-3]]), np.array([[40_000.0]]), moments)
    assert scale.dtype == shift.dtype == np.float32
    assert 30_000 * scale[0, 0] + shift[0, 0] == pytest.approx((-10.0 - 0.5) / 2, rel=1e-6)


def test_there_is_a_mask_only_where_some_bin_is_not_real():
    whole = config_of("whole", 5 * BIN)
    spec = window_spec(whole)
    assert training_samples(spec, np.array([3 * BIN, 3 * BIN - 1])) == (3 * BIN, False)
    assert training_samples(spec, np.array([3 * BIN, 2 * BIN])) == (3 * BIN, True)
    assert training_samples(spec, np.array([9 * BIN, 8 * BIN])) == (5 * BIN, False)
    dataset = made_up_dataset([3 * BIN] * 5)
    assert make_batch(whole, dataset, 0).bins is None
    dataset = made_up_dataset([3 * BIN, 3 * BIN, BIN, BIN, BIN])
    assert make_batch(whole, dataset, 0).bins is not None


@pytest.mark.parametrize("window", WINDOWS)
def test_an_epochs_plans_are_those_of_its_steps(window):
    """Of several members at once, each with its seed."""
    lengths = np.random.default_rng(2).integers(1, 2000, 10).astype(np.int32)
    spec = WindowSpec(window, 2 * BIN, POOLS)
    one_seed = partial(epoch_plan, batch_size=4, spec=spec, samples=2 * BIN)
    made = jax.vmap(one_seed, in_axes=(0, None, None))(np.uint32([7, 0, 2018]), np.uint32(3), lengths)
    for member, seed in enumerate((7, 0, 2018)):
        for within in range(3):
            alone = plan(seed, 9 + within, lengths, batch_size=4, window=window, samples=2 * BIN)
            for one, other in zip(Plan(*(value[member, within] for value in made)), alone, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_batch_depends_on_its_seed():
    dataset = made_up_dataset([700] * 12)
    config = config_of("crop", 300)
    other = make_batch(dataclasses.replace(config, seed=1), dataset, 0)
    assert not np.array_equal(make_batch(config, dataset, 0).signal, other.signal)
