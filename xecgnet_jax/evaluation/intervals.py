"""How certain a metric is: Wilson intervals of proportions, a bootstrap over recordings or patients for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xecgnet_jax.evaluation.metrics import Floats

#: Share of all repetitions in which an interval is to hold the true value.
LEVEL = 0.95
#: Resamples of a bootstrap; the limits then vary by a few percent of the interval's width with the seed.
RESAMPLES = 2000
#: An interval is undefined where the metric is undefined in more than this share of the resamples.
UNDEFINED_ALLOWED = 0.1
#: Numbers in one chunk of weights, 32 MB: this bounds the memory.
_CHUNK = 4_000_000


class ResamplingUnits(NamedTuple):
    """What is drawn in a resample: `of_recording` [R] is the unit, 0 … number − 1, of each recording."""

    of_recording: npt.NDArray[np.int64]
    number: int

    @property
    def repeat(self) -> bool:
        """Whether a patient has several recordings, so that recordings are not independent."""
        return self.number < len(self.of_recording)

    def describe(self, resamples: int, seed: int) -> dict[str, Any]:
        """Returns what the intervals rest on, as JSON values."""
        return {
            "level": LEVEL,
            "resamples": resamples,
            "seed": seed,
            "units": "patients" if self.repeat else "recordings",
            "number": self.number,
            "recordings": len(self.of_recording),
        }


def resampling_units(recordings: int, patients: Sequence[str | None] | None = None) -> ResamplingUnits:
    """Returns patients as units; a recording whose patient is unknown (None) is a unit of its own."""
    patients = [None] * recordings if patients is None else patients
    if len(patients) != recordings:
        raise ValueError(f"{len(patients)} patients for {recordings} recordings")
    number: dict[int | str, int] = {}
    keys = [index if patient is None else patient for index, patient in enumerate(patients)]
    units = [number.setdefault(key, len(number)) for key in keys]
    return ResamplingUnits(np.array(units, np.int64), len(number))


def wilson(successes: int, trials: int) -> list[float] | None:
    """Returns Wilson's score interval of a proportion of independent trials; None without trials.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209–212.
    """
    from scipy import stats

    if not trials:
        return None
    interval = stats.binomtest(int(successes), int(trials)).proportion_ci(LEVEL, method="wilson")
    return [float(interval.low), float(interval.high)]


def resample_counts(units: ResamplingUnits, resamples: int, seed: int) -> Iterator[Floats]:
    """Yields how often each recording counts in each resample, in chunks [b, R] of together `resamples` rows.

    A resample draws as many units as there are, with replacement, and takes all recordings of a unit as often as it was
    drawn. Rows depend on (units, seed) and their number only, so two groups that are given the same get the same ones.
    """
    if resamples < 1:
        raise ValueError(f"{resamples} resamples; possible: 1 or more")
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // max(1, len(units.of_recording)))
    for first in range(0, resamples, size):
        rows = min(size, resamples - first)
        drawn = rng.integers(units.number, size=(rows, units.number)) + units.number * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units.number).reshape(rows, units.number)
        yield counts[:, units.of_recording].astype(np.float64)


def bootstrap(
    metrics: Callable[[Floats], dict[str, Floats]], units: ResamplingUnits, *, resamples: int, seed: int
) -> dict[str, Floats]:
    """Returns the metrics of all resamples: `metrics` maps weights [b, R] to arrays that begin with b."""
    chunks = [metrics(weights) for weights in resample_counts(units, resamples, seed)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def percentile_interval(resampled: Floats) -> list[float] | None:
    """Returns the middle 95 % of [B] resampled values; undefined ones (NaN) are left out.

    None where more than `UNDEFINED_ALLOWED` of them are undefined, and where all are the same: resampling cannot show
    errors of which the sample has none, so that it would call a value of 1 from five recordings certain.
    """
    defined = _defined(resampled)
    if defined is None:
        return None
    low, high = (float(limit) for limit in np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return None if np.isclose(low, high, rtol=0, atol=1e-12) else [low, high]


def basic_interval(value: float, resampled: Floats) -> list[float] | None:
    """Returns the percentile interval mirrored at the value and cut off at 0.

    For metrics that are biased in small samples, as a calibration error is: chance alone makes it larger than 0. A
    resample adds as much bias again, which the mirror takes off. (Davison and Hinkley, Bootstrap Methods and their
    Application, 1997, section 5.2.)
    """
    interval = percentile_interval(resampled)
    return interval and [max(0.0, 2 * value - limit) for limit in reversed(interval)]


def standard_error(resampled: Floats) -> float | None:
    """Returns the standard deviation of [B] values; None where more than `UNDEFINED_ALLOWED` are undefined."""
    defined = _defined(resampled)
    return None if defined is None or len(defined) < 2 else float(defined.std(ddof=1))


def _defined(resampled: Floats) -> Floats | None:
    undefined = np.isnan(resampled)
    return None if undefined.mean() > UNDEFINED_ALLOWED else resampled[~undefined]
