"""The time column of a table → its step from row to row, as exactly as the printed digits tell."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from xecgnet_jax.data.io.fields import DECIMAL

NUMBER = re.compile(DECIMAL, re.ASCII)

#: Part of the whole time span that a row may be off beside the rounding of its digits: times kept in single precision.
_ROUNDING: float = 1e-6

#: No time is as large as this, not even in nanoseconds.
_LARGEST: float = 1e100


class TimeStep(NamedTuple):
    """How much the time rises from row to row, in the unit of the column."""

    size: float  #: the mean over all rows
    error: float  #: how far rounding may have changed this mean


class TimeColumn:
    """Collects a column of time, block by block."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = [np.zeros(0)]
        self._finest_digit: int = 0

    def add(self, cells: list[str]) -> None:
        """Adds the next rows; decimals with a point or a comma."""
        times = [cell.strip().replace(",", ".") for cell in cells]
        if not all(map(NUMBER.fullmatch, times)):
            self._blocks.append(np.array([np.nan]))
            return
        self._finest_digit = min(self._finest_digit, *(int(Decimal(time).as_tuple().exponent) for time in times))
        self._blocks.append(np.array([float(time) for time in times]))

    def step(self) -> TimeStep | None:
        """Returns the step, or None where there are fewer than two rows or they do not rise evenly, so are no time.

        Rows rise evenly if each lies within one printed digit of the straight line from the first row to the last:
        each row, and each end of the line, is off by up to half a digit where it is rounded.
        """
        times = np.concatenate(self._blocks)
        if len(times) < 2 or not np.abs(times).max() < _LARGEST or not times[-1] > times[0]:
            return None
        digit, span = 10.0**self._finest_digit, times[-1] - times[0]
        even = times[0] + span * np.arange(len(times)) / (len(times) - 1)
        if np.abs(times - even).max() > 1.001 * digit + _ROUNDING * span:
            return None
        return TimeStep(float(span / (len(times) - 1)), digit / (len(times) - 1))
