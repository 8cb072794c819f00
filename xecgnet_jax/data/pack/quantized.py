"""Millivolts ↔ 16-bit counts, losing nothing that a 16-bit converter had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Step in mV where the source names none that its signal follows: 1 µV, below the noise of any amplifier.
PLAIN_STEP: float = 1e-3

#: A lead that spans less, in mV, gets finer steps than `PLAIN_STEP`, so that its shape survives.
FINE_SPAN: float = 0.1

#: Counts of 16 bits lie at most this far apart.
_WIDEST = 2**16 - 1


@dataclass(frozen=True, eq=False)
class Counts:
    """A recording in 16 bits: mV = (samples − zero) · step.

    Attributes:
      samples: [T, 12] int16.
      step: [12] float64, mV per count, above 0.
      zero: [12] float64, the count of 0 mV: a whole number, not always within 16 bits.
    """

    samples: np.ndarray
    step: np.ndarray
    zero: np.ndarray


def counts_of(signal: np.ndarray, resolution: np.ndarray | None) -> Counts:
    """The signal in 16-bit counts, which give it back within half a step.

    Where the source's own steps fit, its very counts are kept (shifted, where their offset asks for
    it), and the signal comes back to float32 rounding.

    Args:
      signal: [T, 12] float32, mV, finite, T at least 1.
      resolution: [12] mV per converter step of the source, or None.
    """
    leads = np.ascontiguousarray(signal.T, np.float64)
    steps = [None] * len(leads) if resolution is None else resolution.tolist()
    step = np.array([_step(lead, source) for lead, source in zip(leads, steps, strict=True)])
    counts = np.rint(leads / step[:, None])
    low, high = counts.min(axis=1), counts.max(axis=1)
    fits = (low >= -(2**15)) & (high < 2**15)
    shift = np.where(fits, 0.0, np.ceil((low + high) / 2))
    samples = (counts - shift[:, None]).T.astype(np.int16)
    return Counts(np.ascontiguousarray(samples), step, 0.0 - shift)


def signal_of(samples: np.ndarray, step: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """[T, 12] float32 mV of counts: the inverse of `counts_of`."""
    return ((samples - zero) * step).astype(np.float32)


def _step(lead: np.ndarray, source_step: float | None) -> float:
    """mV per count for one lead: the source's, else 1 µV where that suits, else the finest that fits."""
    span = float(lead.max() - lead.min())
    if source_step is not None and np.rint(span / source_step) <= _WIDEST and _follows(lead, source_step):
        return source_step
    finest = span / (_WIDEST - 1)  # one less, because rounding both ends may widen the span by a count
    if span == 0 or (span >= FINE_SPAN and finest <= PLAIN_STEP):
        return PLAIN_STEP
    return finest


def _follows(lead: np.ndarray, step: float) -> bool:
    """Whether all values are whole steps, as far as float32 can tell."""
    counts = lead / step
    rounding = np.abs(counts).max() * 2.0**-23
    return bool(rounding < 0.25 and np.abs(counts - np.rint(counts)).max() <= rounding + 1e-9)
