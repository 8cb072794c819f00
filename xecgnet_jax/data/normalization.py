"""Mean and standard deviation of each lead: of a recording, over recordings, applied to quantized signals."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

#: mV of standard deviation that a lead of an ECG has at least.
SMALLEST_STD: float = 0.01


class Normalization(NamedTuple):
    """What is taken from each lead, and what it is then divided by."""

    mean: np.ndarray  #: [12] float32, mV
    std: np.ndarray  #: [12] float32, mV, above 0


def signal_moments(signal: np.ndarray) -> np.ndarray:
    """Returns the mean and the standard deviation of each lead of a recording [T, 12], as [2, 12] float64."""
    exact = signal.astype(np.float64)
    return np.stack([exact.mean(axis=0), exact.std(axis=0)])


def mean_normalization(moments: np.ndarray) -> Normalization:
    """Returns per lead the mean over recordings of a recording's mean, and of its standard deviation.

    That is how the authors normalize (docs/fidelity.md). A lead that is flat in all recordings gets a standard
    deviation of 1 mV, so that it stays finite. `moments` [R, 2, 12] are those of at least one recording.
    """
    total: Any = sum(moments)  # one after another, so that the sum does not depend on how an array adds up
    mean, std = total / len(moments)
    return Normalization(mean.astype(np.float32), np.where(std > 0, std, 1.0).astype(np.float32))


def find_dominating(moments: np.ndarray) -> tuple[int, int] | None:
    """Returns (recording, lead) whose mean or standard deviation alone would set a corpus's normalization, else None.

    That is one further from the others than 100 times what is typical of them, which no artifact is, and than a tenth
    of what all R recordings together have. `moments` are [R, 2, 12].
    """
    away = np.abs(moments - np.median(moments, axis=0)).max(axis=1)  # [R, 12], of mean or standard deviation
    typical = float(np.median(moments[:, 1]) + np.median(np.abs(moments[:, 0] - np.median(moments[:, 0], axis=0))))
    recording, lead = np.unravel_index(away.argmax(), away.shape)
    limit = max(typical, SMALLEST_STD) * max(100, len(moments) / 10)
    return (int(recording), int(lead)) if away[recording, lead] > limit else None


def scale_and_shift(step: np.ndarray, zero: np.ndarray, normalization: Normalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns (scale, shift), float32: ((count − zero) · step − mean) / std = count · scale + shift.

    Computed in float64, so that what float32 then rounds is one multiplication and one addition.
    `step` and `zero` are [R, 12] float64, of a pack: mV = (count − zero) · step.
    """
    mean, std = (moment.astype(np.float64) for moment in normalization)
    return (step / std).astype(np.float32), (-(zero * step + mean) / std).astype(np.float32)
