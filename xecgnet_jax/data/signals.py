"""What is made of a recording's signal before anything else sees it: the network's sampling rate, and a filter."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.leads import RATE

#: The largest whole number of a ratio of rates, and how far the ratio may be off, relatively.
LARGEST_TERM, RATE_ERROR = 1000, 5e-4


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
    """Returns a signal [T, L] of `rate` Hz as `spec` says: [ceil(T · rate_ratio), L] float32."""
    if rate != spec.rate:
        signal = resample(signal.astype(np.float64), rate, spec.rate)
    return np.ascontiguousarray(filter_signal(signal, spec), dtype=np.float32)


def rate_ratio(source_rate: float, rate: float) -> Fraction:
    """Returns rate / source_rate as a ratio of whole numbers up to 1,000, off by at most 0.05 % (5e-4) of itself.

    Filters grow with these numbers. Ratios of rates that ECGs have are exact; 500 Hz from 499.999 Hz is 1.

    Raises:
      ValueError: no such ratio is that close, because the rates are far apart.
    """
    exact = Fraction(rate) / Fraction(source_rate)
    inverse = exact > 1
    ratio = (1 / exact if inverse else exact).limit_denominator(LARGEST_TERM)
    if not ratio or abs(ratio / (1 / exact if inverse else exact) - 1) > RATE_ERROR:
        problem = f"signals of {source_rate:g} Hz cannot be resampled to {rate:g} Hz by whole numbers up to 1,000"
        raise ValueError(f"{problem}. Resample them to {rate:g} Hz, or to a round rate, yourself.")
    return 1 / ratio if inverse else ratio


def resample(signal: np.ndarray, source_rate: float, rate: float) -> np.ndarray:
    """Resamples [T, L] from `source_rate` to `rate` Hz, by `rate_ratio`: [ceil(T · ratio), L].

    A polyphase filter, `scipy.signal.resample_poly`. The straight line from the first to the last sample is taken out
    before filtering and put back after, so that a baseline away from 0 mV does not ring at the ends.
    """
    from scipy.signal import resample_poly  # with wfdb seconds to import; programs that read packs need neither

    ratio = rate_ratio(source_rate, rate)
    padding = "line" if len(signal) > 1 else "mean"
    return resample_poly(signal, ratio.numerator, ratio.denominator, axis=0, padtype=padding)


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
