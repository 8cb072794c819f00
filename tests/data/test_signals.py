"""Rates and filters of signals, against sinusoids whose amplitudes are known."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xecgnet_jax.config import Config, DataConfig
from xecgnet_jax.data.signals import (
    LARGEST_TERM,
    PLAIN,
    RATE_ERROR,
    SignalSpec,
    filter_signal,
    prepare_signal,
    rate_ratio,
    resample,
    signal_spec,
)
from xecgnet_jax.errors import ConfigError


def sinusoid(frequency, rate, seconds=20):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)[:, None] * np.ones((1, 12))


def amplitude(signal):
    """Of a sinusoid, away from the ends."""
    middle = signal[len(signal) // 4 : -len(signal) // 4]
    return float(np.sqrt(2 * np.mean(np.square(middle))))


def test_what_is_right_already_is_left_alone():
    signal = sinusoid(3, 500).astype(np.float32)
    np.testing.assert_array_equal(prepare_signal(signal, 500, PLAIN), signal)
    assert signal_spec(DataConfig()) == PLAIN


@pytest.mark.parametrize(("source", "rate"), [(500, 100), (100, 500), (257, 100), (1000, 250), (360, 500)])
def test_another_rate_is_the_same_sinusoid(source, rate):
    found = prepare_signal(sinusoid(5, source), source, SignalSpec(rate))
    assert found.dtype == np.float32 and len(found) == -(-20 * source * rate // source)
    np.testing.assert_allclose(found[rate:-rate], sinusoid(5, rate)[rate:-rate], atol=5e-3)


@pytest.mark.parametrize("rate", [20, 100, 250, 257, 360, 500, 1000])
def test_ratios_of_whole_rates_are_exact(rate):
    for source in range(50, 1001):
        assert rate_ratio(source, rate) == Fraction(rate, source)


@given(source=st.floats(50, 100_000), rate=st.floats(20, 10_000))
def test_ratios_have_bounded_terms_and_are_close_or_refused(source, rate):
    """12345.678 Hz once made a filter of 2·10⁸ taps."""
    below = min(source, rate) / max(source, rate)
    terms = np.arange(1, LARGEST_TERM + 1)
    closest = np.abs(np.maximum(np.rint(below * terms), 1) / terms / below - 1).min()
    if closest > RATE_ERROR * 1.001:
        with pytest.raises(ValueError, match="cannot be resampled"):
            rate_ratio(source, rate)
    if closest > RATE_ERROR * 0.999:
        return
    ratio = rate_ratio(source, rate)
    assert max(ratio.numerator, ratio.denominator) <= LARGEST_TERM
    assert abs(float(ratio) * source / rate - 1) <= RATE_ERROR * 1.0001


@pytest.mark.parametrize("source", [99_999.999, 12_345.678, 499.999, 333.333])
def test_odd_rates_are_the_same_sinusoid(source):
    found = prepare_signal(sinusoid(5, source, 3)[:, :1], source, PLAIN)
    true_rate = float(rate_ratio(source, 500)) * source
    np.testing.assert_allclose(found[300:1200], sinusoid(5, true_rate, 3)[300:1200, :1], atol=5e-3)
    assert true_rate == pytest.approx(500, rel=RATE_ERROR) and len(found) == pytest.approx(1500, abs=1)


def test_rates_too_far_apart_are_refused():
    with pytest.raises(ValueError, match="signals of 65050 Hz cannot be resampled to 100 Hz"):
        prepare_signal(np.zeros((100, 12)), 65_050, SignalSpec(100.0))


@pytest.mark.parametrize("frequency", [0.1, 0.5, 2, 10, 40, 80])
def test_a_band_passes_what_it_says(frequency):
    """A Butterworth filter of second order forward and backward: the square of its gain, 1 / (1 + (f / limit)⁴)."""
    rate, (low, high) = 250.0, (0.5, 40.0)
    found = amplitude(filter_signal(sinusoid(frequency, rate, 60), SignalSpec(rate, (low, high))))
    warp = lambda hertz: np.tan(np.pi * hertz / rate)  # noqa: E731  (of the bilinear transform)
    center, width = warp(low) * warp(high), warp(high) - warp(low)
    at = (warp(frequency) ** 2 - center) / (warp(frequency) * width)
    assert found == pytest.approx(1 / (1 + at**4), abs=0.02)


@pytest.mark.parametrize(("frequency", "passed"), [(1, 1.0), (15, 0.5), (45, 0.01)])
def test_a_low_pass_passes_what_it_says(frequency, passed):
    signal = sinusoid(frequency, 100)
    found = filter_signal(signal, SignalSpec(100.0, (15.0,)))
    assert amplitude(found) == pytest.approx(passed, abs=0.02)
    if passed > 0.1:  # no delay
        middle = slice(500, -500)
        assert np.corrcoef(found[middle, 0], signal[middle, 0])[0, 1] > 0.999


@pytest.mark.parametrize("length", [1, 2, 10, 40])
def test_a_short_signal_is_filtered_too(length):
    constant = np.ones((length, 12))
    np.testing.assert_allclose(filter_signal(constant, SignalSpec(100.0, (15.0,))), constant, atol=1e-9)


@pytest.mark.parametrize("limits", [(0.0,), (50.0,), (40.0, 0.5), (0.5, 50.0), (0.5, 10.0, 20.0), (-1.0, 20.0)])
def test_impossible_limits_are_refused(limits):
    with pytest.raises(ConfigError, match=r"filter is .*below 50 Hz"):
        Config(data=DataConfig(rate=100.0, filter=limits))


def test_one_sample_can_be_resampled():
    assert resample(np.full((1, 12), 0.3), 250, 500).shape == (2, 12)
    assert np.isfinite(resample(np.full((1, 12), 0.3), 250, 500)).all()
