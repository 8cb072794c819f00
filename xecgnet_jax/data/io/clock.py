"""A table's column of time → by how much it rises from row to row, as exactly as its printed digits tell."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

import numpy as np

#: A decimal number in plain ASCII. `float` takes more: `0_1`, `nan`, the digits of other scripts.
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?", re.ASCII | re.IGNORECASE)

#: Of all the time, by which a row may be off besides what rounding explains: times kept in single precision.
_ROUNDING: float = 1e-6

#: No count of time reaches that, in nanoseconds neither.
_NEVER: float = 1e100


class Step(NamedTuple):
    """By how much time rises from row to row, in whatever the column counts.

    Attributes:
      size: the mean of all rows.
      error: by how much rounding may have changed that.
    """

    size: float
    error: float


class Clock:
    """Gathers a column of time, block by block."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._finest: int = 0
        self._is_number = True

    def add(self, cells: list[str]) -> None:
        """Takes the next rows; decimals with a point or a comma."""
        times = [cell.strip().replace(",", ".") for cell in cells]
        self._is_number = self._is_number and all(map(NUMBER.fullmatch, times))
        if self._is_number:
            self._finest = min(self._finest, *(int(Decimal(time).as_tuple().exponent) for time in times))
            self._blocks.append(np.array([float(time) for time in times]))

    def step(self) -> Step | None:
        """None where there are less than two rows, or they do not rise evenly, so that they count something else.

        Even is what lies within one printed digit of the straight line from the first row to the last: each row, and
        the ends of the line, are off by half a digit where they are rounded.
        """
        times = np.concatenate(self._blocks) if self._is_number and self._blocks else np.zeros(0)
        if len(times) < 2 or not np.abs(times).max() < _NEVER or not times[-1] > times[0]:
            return None
        digit, span = 10.0**self._finest, times[-1] - times[0]
        even = times[0] + span * np.arange(len(times)) / (len(times) - 1)
        if np.abs(times - even).max() > 1.001 * digit + _ROUNDING * span:
            return None
        return Step(float(span / (len(times) - 1)), digit / (len(times) - 1))
