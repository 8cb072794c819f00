"""Rates and filters of signals, against sinusoids whose amplitudes are known."""

import numpy as np
import pytest

from xecgnet_jax.config import Config, DataConfig
from xecgnet_jax.data.signals import PLAIN, SignalSpec, filter_signal, prepare_signal, signal_spec
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
