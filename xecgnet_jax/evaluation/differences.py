"""The interval of a difference between two sides, each one run or several."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from xecgnet_jax.evaluation.intervals import LEVEL, percentile_interval, standard_error

#: Below this a difference is one of rounding.
_NOTHING = 1e-12


def difference(one: np.ndarray, other: np.ndarray, resampled: np.ndarray, units: int) -> dict[str, Any]:
    """The difference of two sides' mean figures, with its interval.

    Args:
      one, other: [K] figures of each side's runs on the recordings as they are.
      resampled: [B] differences of the means over the same runs, in resamples of the recordings.
      units: recordings or patients that carry the figure.

    Returns:
      "difference"; "interval" and "detectable", half its width, both None where undefined; "method"; "identical",
      whether no resample and no seed shows any difference; with several runs on a side also "standard_error" and
      "degrees_of_freedom".
    """
    several = len(one) > 1 or len(other) > 1
    figure = float(np.mean(one) - np.mean(other))
    result: dict[str, Any] = {
        "difference": None if np.isnan(figure) else figure,
        "interval": None,
        "detectable": None,
        "method": "t" if several else "bootstrap",
        "identical": False,
    }
    if several:
        result |= {"standard_error": None, "degrees_of_freedom": None}
    if np.isnan(figure):
        return result
    spread = max(np.ptp(one), np.ptp(other))
    result["identical"] = bool(np.nanmax(np.abs([figure, spread, *resampled])) < _NOTHING)
    if several:
        return result | _with_seeds(figure, one, other, standard_error(resampled), units)
    interval = percentile_interval(resampled)
    if interval is None:
        return result
    return result | {"interval": list(interval), "detectable": (interval[1] - interval[0]) / 2}


def _with_seeds(
    figure: float, one: np.ndarray, other: np.ndarray, recordings: float | None, units: int
) -> dict[str, Any]:
    """The interval for other recordings and other seeds: figure ± t · SE.

    SE² = recordings² + s² / K of each side with several runs, s their standard deviation. Degrees of freedom after
    B. L. Welch, Biometrika 34 (1947) 28–35, and F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110–114: units − 1
    and K − 1 for the parts.

    Args:
      recordings: standard deviation of the difference over resamples of the recordings; None where undefined.
    """
    if recordings is None or units < 2:
        return {}
    seeds = [float(np.var(side, ddof=1) / len(side)) if len(side) > 1 else None for side in (one, other)]
    parts = [(recordings**2, units - 1)]
    parts += [(part, len(side) - 1) for part, side in zip(seeds, (one, other), strict=True) if part is not None]
    variance = sum(part for part, _ in parts)
    if variance < _NOTHING**2:
        return {}
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    errors = [None if part is None else float(np.sqrt(part)) for part in seeds]
    return {
        "interval": [figure - half, figure + half],
        "detectable": half,
        "standard_error": {"recordings": recordings, "one": errors[0], "other": errors[1]},
        "degrees_of_freedom": float(freedom),
    }
