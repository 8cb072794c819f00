"""How certain a figure is: Wilson intervals of proportions, a bootstrap over recordings or patients for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

#: Share of all repetitions in which an interval is to hold the true figure.
LEVEL = 0.95
#: Resamples of a bootstrap; the limits then vary by a few percent of the interval's width with the seed.
RESAMPLES = 2000
#: An interval is undefined where more than this share of the resamples has no figure.
UNDEFINED_ALLOWED = 0.1
#: Numbers in one chunk of weights, 32 MB: what bounds the memory.
_CHUNK = 4_000_000

Interval = tuple[float, float]


class Units(NamedTuple):
    """What is drawn in a resample.

    Attributes:
      of: [R] int64, the unit that each recording belongs to, 0 … number − 1.
      number: of units.
      name: "patients" where one of them has several recordings, else "recordings".
    """

    of: np.ndarray
    number: int
    name: str

    @property
    def repeat(self) -> bool:
        """Whether a patient has several recordings, so that recordings are not independent."""
        return self.number < len(self.of)


def units_of(recordings: int, patients: Sequence[str | None] | None = None) -> Units:
    """Patients as units; a recording of which none is known (None) is one of its own."""
    if patients is None:
        patients = [None] * recordings
    if len(patients) != recordings:
        raise ValueError(f"{len(patients)} patients for {recordings} recordings")
    keys = [("recording", index) if patient is None else ("patient", patient) for index, patient in enumerate(patients)]
    number: dict[object, int] = {}
    of = np.array([number.setdefault(key, len(number)) for key in keys], np.int64)
    return Units(of, len(number), "patients" if len(number) < recordings else "recordings")


def wilson(successes: int, trials: int) -> Interval | None:
    """Wilson's score interval of a proportion of independent trials; None without trials.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209–212.
    """
    if not trials:
        return None
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def resample_counts(units: Units, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each recording counts in each resample, in chunks [b, R] of together `resamples` rows.

    A resample draws as many units as there are, with replacement, and takes all recordings of a unit as often as it was
    drawn. Rows depend on (units, seed) and their number only, so two sides that are given the same get the same ones.
    """
    if resamples < 1:
        raise ValueError(f"{resamples} resamples; possible: 1 or more")
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(1, len(units.of)))
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = rng.integers(units.number, size=(rows, units.number)) + units.number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units.number).reshape(rows, units.number)
        yield counts[:, units.of].astype(np.float64)


def bootstrap(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]], units: Units, *, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """Figures of all resamples: `figures` maps weights [b, R] to arrays that begin with b."""
    chunks = [figures(weights) for weights in resample_counts(units, resamples, seed)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def percentile_interval(resampled: np.ndarray) -> Interval | None:
    """The middle 95 % of [B] resampled figures; those undefined (NaN) are left out.

    None where more than `UNDEFINED_ALLOWED` of them are undefined, and where all are the same: resampling cannot show
    errors of which the sample has none, so that it would call a figure of 1 from five recordings certain.
    """
    defined = _defined(resampled)
    if defined is None:
        return None
    low, high = (float(limit) for limit in np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return None if np.isclose(low, high, rtol=0, atol=1e-12) else (low, high)


def basic_interval(figure: float, resampled: np.ndarray, *, least: float = 0.0) -> Interval | None:
    """The percentile interval mirrored at the figure and cut off at `least`.

    For figures that are biased in small samples, as a calibration error is: chance alone makes it larger than 0. A
    resample adds as much bias again, which the mirror takes off. (Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 5.2.)
    """
    interval = percentile_interval(resampled)
    return interval and (max(least, 2 * figure - interval[1]), max(least, 2 * figure - interval[0]))


def standard_error(resampled: np.ndarray) -> float | None:
    """Standard deviation of [B] resampled figures; None where more than `UNDEFINED_ALLOWED` are undefined."""
    defined = _defined(resampled)
    return None if defined is None or len(defined) < 2 else float(defined.std(ddof=1))


def _defined(resampled: np.ndarray) -> np.ndarray | None:
    undefined = np.isnan(resampled)
    return None if undefined.mean() > UNDEFINED_ALLOWED else resampled[~undefined]
