"""One recording on disk → `Recording`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: The standard order of the twelve leads. Every [.., L] array follows it.
LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

#: Sampling rate of every signal inside the package, in Hz.
RATE: int = 500


@dataclass(frozen=True, eq=False)
class Recording:
    """One 12-lead ECG.

    Attributes:
      id: name of the record, without folder or suffix.
      signal: [T, 12] float32, millivolts, leads in the order of `LEADS`.
      rate: sampling rate of `signal` in Hz.
      codes: diagnostic codes as the file or its corpus writes them, in the file's order.
      age: years, or None where the file does not say.
      sex: "F", "M", or None where the file does not say.
      resolution: [12] float64, millivolts per step of the source's converter (1 / gain), or None
        where the source has none or the signal was resampled.
    """

    id: str
    signal: np.ndarray
    rate: float
    codes: tuple[str, ...] = ()
    age: float | None = None
    sex: str | None = None
    resolution: np.ndarray | None = None
