"""A lead → the few points of a line that passes every sample within a tolerance."""

from __future__ import annotations

import math

import numpy as np

from xecgnet_jax.data.leads import RATE

#: 25 mm/s and 10 mm/mV: the paper of nearly every electrocardiograph.
MM_PER_S = 25.0
MM_PER_MV = 10.0
#: mm between a sample and the line in height, at most: 15 µV, half of the line's own width. At four times the size the
#: corners can be seen; a third of it shows hardly any and takes half as many bytes again.
TOLERANCE = 0.15
#: The finest tolerance: what whole units of `unit_mm` can do at any rate.
FINEST = 0.03
#: Heights are whole multiples of this many mm, or of the tolerance if that is less.
STEP = 0.1

#: Samples between which a line may run straight, at most, and samples after which it has a point in any case. Both
#: only bound the work.
_REACH = 32
_PIECE = 250


def unit_mm(rate: float) -> float:
    """Returns the mm of the unit in which all points are whole numbers: a sample's width, or a whole part of it."""
    return MM_PER_S / rate / math.ceil(RATE / rate)


def trace_paths(heights: np.ndarray, rate: float, tolerance: float) -> list[str]:
    """Returns the path data of L traces, in whole units: the first point, and after `l` the steps from point to point.

    Heights, [T, L] at `rate` Hz, are mm upwards; the straight lines pass every sample within `tolerance` mm in height.
    """
    unit, units_per_sample = unit_mm(rate), math.ceil(RATE / rate)
    quantum = max(1, round(min(STEP, tolerance) / unit))
    exact = -heights.T.astype(np.float64) / unit
    rounded = np.rint(exact / quantum).astype(np.int64) * quantum
    is_point = _choose_points(exact, rounded, tolerance / unit)
    paths = []
    for row, chosen in zip(rounded, is_point, strict=True):
        samples = np.flatnonzero(chosen)
        x, y = (np.diff(samples) * units_per_sample).tolist(), np.diff(row[samples]).tolist()
        # A minus sign separates, too.
        steps = " ".join([f"{dx}{dy}" if dy < 0 else f"{dx} {dy}" for dx, dy in zip(x, y, strict=True)])
        paths.append(f"M0 {row[0]}l{steps}" if steps else f"M0 {row[0]}")
    return paths


def _choose_points(exact: np.ndarray, rounded: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns which samples become points of the line: [L, T] bool for [L, T] heights, exact and as they are drawn.

    From each point the line goes as far as it can: to the last sample for which the straight line to it passes all
    between within the tolerance. All leads are cut into pieces that are walked through at once.
    """
    leads, samples = exact.shape
    flat, ends = exact.ravel(), rounded.ravel().astype(np.float64)
    firsts = np.arange(leads)[:, None] * samples
    starts = np.arange(0, samples - 1, _PIECE)
    at = (firsts + starts).ravel()
    stop = (firsts + np.minimum(starts + _PIECE, samples - 1)).ravel()
    is_point = np.zeros(leads * samples, bool)
    is_point[firsts] = is_point[firsts + samples - 1] = True
    ahead = np.arange(1, _REACH + 1)
    while len(at):
        is_point[at] = True
        beyond = at[:, None] + ahead > stop[:, None]
        there = np.where(beyond, stop[:, None], at[:, None] + ahead)
        here = ends[at][:, None]
        rise = flat[there] - here
        lowest = np.maximum.accumulate((rise - tolerance) / ahead, axis=1)
        highest = np.minimum.accumulate((rise + tolerance) / ahead, axis=1)
        slope = (ends[there] - here) / ahead
        fits = (slope >= lowest) & (slope <= highest) & ~beyond
        at = at + _REACH - np.argmax(fits[:, ::-1], axis=1)
        unfinished = at < stop
        at, stop = at[unfinished], stop[unfinished]
    return is_point.reshape(leads, samples)
