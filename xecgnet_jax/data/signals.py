"""What is made of a recording's signal before anything else sees it: the network's sampling rate, and a filter."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.leads import RATE


class SignalSpec(NamedTuple):
    """How signals are made what a network sees."""

    rate: float = float(RATE)  #: Hz
    filter: tuple[float, ...] = ()  #: limits in Hz, see `filter_signal`


#: Signals as they are by default: 500 Hz, no filter.
PLAIN = SignalSpec()


def signal_spec(config: DataConfig) -> SignalSpec:
    """Returns how a run of this config makes signals."""
    return SignalSpec(config.rate, config.filter)


def prepare_signal(signal: np.ndarray, rate: float, spec: SignalSpec) -> np.ndarray:
    """Returns a signal [T, L] of `rate` Hz as `spec` says: [ceil(T · spec.rate / rate), L] float32."""
    if rate != spec.rate:
        signal = resample(signal.astype(np.float64), rate, spec.rate)
    return np.ascontiguousarray(filter_signal(signal, spec), dtype=np.float32)


def resample(signal: np.ndarray, source_rate: float, rate: float) -> np.ndarray:
    """Resamples [T, L] from `source_rate` to `rate` Hz: [ceil(T · rate / source_rate), L].

    A polyphase filter, `scipy.signal.resample_poly`. The straight line from the first to the last sample is taken out
    before filtering and put back after, so that a baseline away from 0 mV does not ring at the ends.
    """
    from scipy.signal import resample_poly  # with wfdb seconds to import; programs that read packs need neither

    ratio = Fraction(rate).limit_denominator(1000) / Fraction(source_rate).limit_denominator(1000)
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype="line")


def filter_signal(signal: np.ndarray, spec: SignalSpec) -> np.ndarray:
    """Filters [T, L] at the rate of `spec`: nothing, a low-pass (one limit) or a band-pass (two).

    A Butterworth filter of second order, forward and backward (`scipy.signal.sosfiltfilt`): no delay, half the
    amplitude at the limits. The ends are continued by their own reflection for a period of the lower limit.
    """
    if not spec.filter:
        return signal
    from scipy.signal import butter, sosfiltfilt

    kind, limits = ("bandpass", spec.filter) if len(spec.filter) == 2 else ("lowpass", spec.filter[0])
    sections = butter(2, limits, kind, fs=spec.rate, output="sos")
    reflected = min(len(signal) - 1, max(15, round(spec.rate / spec.filter[0])))
    return sosfiltfilt(sections, signal.astype(np.float64), axis=0, padlen=reflected)
