"""Millivolts ↔ 16-bit counts: exact for 16-bit sources, within half a step for all others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xecgnet_jax.data.pack.quantized import FINE_SPAN, PLAIN_STEP, QuantizedSignal, quantize

SHAPES = st.tuples(st.integers(1, 20), st.just(12))
CONVERTER_VALUES = arrays(np.int16, SHAPES)
BASELINES = arrays(np.int64, 12, elements=st.integers(-(2**15), 2**15 - 1))


def back(quantized: QuantizedSignal) -> np.ndarray:
    return ((quantized.samples - quantized.zero) * quantized.step).astype(np.float32)


@given(CONVERTER_VALUES, BASELINES, arrays(np.float64, 12, elements=st.floats(1.0, 1e6)))
def test_the_counts_of_a_16_bit_converter_are_kept(values, baseline, gain) -> None:  # type: ignore[no-untyped-def]
    exact = (values - baseline) / gain
    quantized = quantize(exact.astype(np.float32), 1 / gain)
    np.testing.assert_array_equal(quantized.samples - quantized.zero, values - baseline)
    np.testing.assert_allclose(back(quantized), exact, rtol=2**-23)


@given(CONVERTER_VALUES, BASELINES, st.sampled_from([1, 200, 204.8, 500, 1000, 2000, 4880, 10_000]))
def test_the_signal_of_a_16_bit_converter_comes_back_bit_for_bit(values, baseline, gain) -> None:  # type: ignore[no-untyped-def]
    signal = ((values - baseline) / gain).astype(np.float32)
    quantized = quantize(signal, np.full(12, 1 / gain))
    np.testing.assert_array_equal(back(quantized), signal)


@pytest.mark.parametrize("baseline", [-32768, -5, 1, 32767])
@pytest.mark.parametrize("gain", [1000, 4880, 204.8, 1 / 3])
def test_all_65536_values_of_a_converter_are_kept_whatever_its_baseline(baseline: int, gain: float) -> None:
    values = np.tile(np.array([[-32768], [0], [32767]]) - baseline, 12)
    quantized = quantize((values / gain).astype(np.float32), np.full(12, 1 / gain))
    np.testing.assert_array_equal(quantized.samples - quantized.zero, values)
    np.testing.assert_array_equal(quantized.step, 1 / gain)


def test_counts_within_16_bits_are_stored_as_they_are() -> None:
    values = np.array([[-32768] * 12, [0] * 12, [32767] * 12], np.int16)
    quantized = quantize((values / 1000).astype(np.float32), np.full(12, 1e-3))
    np.testing.assert_array_equal(quantized.samples, values)
    np.testing.assert_array_equal(quantized.zero, 0)


@settings(max_examples=300)
@given(
    arrays(np.float32, SHAPES, elements=st.floats(-1, 1, width=32)),
    st.sampled_from([1e-9, 1e-4, 0.01, 1, 10, 32.767, 32.768, 100, 1e6]),
    st.sampled_from([0, 0.5, -20, 1e3, 1e6]),
    st.none() | st.floats(1e-9, 1),
)
def test_any_signal_comes_back_within_half_a_step(shape, scale, offset, resolution) -> None:  # type: ignore[no-untyped-def]
    signal = (shape * np.float32(scale) + np.float32(offset)).astype(np.float32)
    quantized = quantize(signal, None if resolution is None else np.full(12, resolution))
    assert quantized.samples.dtype == np.int16 and quantized.samples.flags.c_contiguous
    assert (quantized.step > 0).all() and (quantized.zero == np.rint(quantized.zero)).all()
    wide = signal.astype(np.float64)
    rounding = np.abs(wide) * 2.0**-23
    assert (np.abs(back(quantized) - wide) <= quantized.step / 2 * (1 + 1e-6) + rounding).all()


@pytest.mark.parametrize(
    ("low", "high", "step"),
    [
        (-1.0, 1.0, PLAIN_STEP),
        (-32.767, 32.767, PLAIN_STEP),
        (1000.0, 1065.5, PLAIN_STEP),  # the offset costs nothing
        (-40.0, 40.0, 80 / 65534),
        (-FINE_SPAN / 4, FINE_SPAN / 4, FINE_SPAN / 2 / 65534),
        (0.3, 0.3, PLAIN_STEP),
    ],
)
def test_step_of_a_source_without_one(low: float, high: float, step: float) -> None:
    signal = np.tile(np.linspace(low, high, 1001, dtype=np.float32)[:, None], 12)
    np.testing.assert_allclose(quantize(signal, None).step, step, rtol=1e-5)


def test_a_24_bit_source_gets_the_finest_step_that_is_plain_or_fits() -> None:
    values = np.tile(np.linspace(-(2**23), 2**23 - 1, 1001).round()[:, None], 12)
    small, large = values * 1e-6, values * 1e-4
    np.testing.assert_array_equal(quantize(small.astype(np.float32), np.full(12, 1e-6)).step, PLAIN_STEP)
    step = quantize(large.astype(np.float32), np.full(12, 1e-4)).step
    np.testing.assert_allclose(step, np.ptp(large[:, 0]) / 65534, rtol=1e-6)


def test_a_resolution_that_the_signal_does_not_follow_is_not_used() -> None:
    signal = np.random.default_rng(0).normal(size=(1000, 12)).astype(np.float32)
    np.testing.assert_array_equal(quantize(signal, np.full(12, 0.00488)).step, PLAIN_STEP)


def test_leads_have_steps_of_their_own() -> None:
    values = np.arange(-50, 50)[:, None] * np.ones(12)
    resolution = np.where(np.arange(12) < 6, 1 / 200, 1 / 1000)
    quantized = quantize((values * resolution).astype(np.float32), resolution)
    np.testing.assert_array_equal(quantized.step, resolution)
    np.testing.assert_array_equal(quantized.samples, values)
