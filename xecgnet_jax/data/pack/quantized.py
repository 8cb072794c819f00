"""Millivolts ↔ 16-bit integers, without loss for signals of a 16-bit converter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

#: Step in mV where the source names none that its signal follows: 1 µV, below the noise of any amplifier.
PLAIN_STEP: float = 1e-3

#: A lead that spans less than this, in mV, gets finer steps than `PLAIN_STEP`, so that its shape survives.
FINE_SPAN: float = 0.1

#: Largest distance of two 16-bit integers.
_WIDEST = 2**16 - 1


class QuantizedSignal(NamedTuple):
    """A recording in 16 bits: mV = (samples − zero) · step."""

    samples: np.ndarray  #: [T, 12] int16
    step: np.ndarray  #: [12] float64, mV per integer step, above 0
    zero: np.ndarray  #: [12] float64, the integer that stands for 0 mV: a whole number, not always within 16 bits


def quantize(signal: np.ndarray, resolution: np.ndarray | None) -> QuantizedSignal:
    """Returns the signal in 16-bit integers, which give it back within half a step.

    Where the source's own steps (`resolution`, [12] mV, or None) fit, the integers of its converter are kept (shifted,
    if their offset requires it), and the signal comes back to float32 rounding. The signal is [T, 12] float32, mV,
    finite, T at least 1.
    """
    leads = np.ascontiguousarray(signal.T, np.float64)
    steps = [None] * len(leads) if resolution is None else resolution.tolist()
    step = np.array([_choose_step(lead, source) for lead, source in zip(leads, steps, strict=True)])
    values = np.rint(leads / step[:, None])
    low, high = values.min(axis=1), values.max(axis=1)
    fits = (low >= -(2**15)) & (high < 2**15)
    shift = np.where(fits, 0.0, np.ceil((low + high) / 2))
    samples = (values - shift[:, None]).T.astype(np.int16)
    return QuantizedSignal(np.ascontiguousarray(samples), step, 0.0 - shift)


def to_millivolts(samples: np.ndarray, step: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """Returns the signal [T, 12] float32 in mV of its integers."""
    return ((samples - zero) * step).astype(np.float32)


def _choose_step(lead: np.ndarray, source_step: float | None) -> float:
    """Returns a lead's mV per integer step: the source's, else 1 µV where that suits, else the finest that fits."""
    span = float(lead.max() - lead.min())
    if source_step is not None and np.rint(span / source_step) <= _WIDEST:
        values = lead / source_step
        rounding = np.abs(values).max() * 2.0**-23  # Values are whole steps only as far as float32 can tell.
        if rounding < 0.25 and np.abs(values - np.rint(values)).max() <= rounding + 1e-9:
            return source_step
    finest = span / (_WIDEST - 1)  # one less, because rounding both ends may widen the span by a step
    if span == 0 or (span >= FINE_SPAN and finest <= PLAIN_STEP):
        return PLAIN_STEP
    return finest
