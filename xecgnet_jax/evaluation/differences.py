"""The interval of a difference between two groups, each one run or several."""

from __future__ import annotations

from typing import Any

import numpy as np

from xecgnet_jax.evaluation.intervals import LEVEL, percentile_interval, standard_error
from xecgnet_jax.evaluation.metrics import Floats

#: A difference below this is one of rounding.
_ROUNDING = 1e-12


def estimate_difference(candidate: Floats, baseline: Floats, resampled: Floats, units: int) -> dict[str, Any]:
    """Returns the difference of two groups' mean metrics, candidate − baseline, with its interval.

    Args:
      candidate, baseline: [K] the metric of each run of a group on the recordings as they are.
      resampled: [B] differences of the means over the same runs, in resamples of the recordings.
      units: recordings or patients over which the metric is taken.

    Returns:
      "difference"; "interval" and "detectable", half its width, both None where undefined; "method"; "identical",
      whether no resample and no seed shows any difference; with several runs in a group also "standard_error" and
      "degrees_of_freedom".
    """
    several = len(candidate) > 1 or len(baseline) > 1
    difference = float(np.mean(candidate) - np.mean(baseline))
    result: dict[str, Any] = {
        "difference": None if np.isnan(difference) else difference,
        "interval": None,
        "detectable": None,
        "method": "t" if several else "bootstrap",
        "identical": False,
    }
    if several:
        result |= {"standard_error": None, "degrees_of_freedom": None}
    if np.isnan(difference):
        return result
    spread = max(np.ptp(candidate), np.ptp(baseline))
    result["identical"] = bool(np.nanmax(np.abs([difference, spread, *resampled])) < _ROUNDING)
    if several:
        return result | _t_interval(difference, candidate, baseline, standard_error(resampled), units)
    interval = percentile_interval(resampled)
    if interval is None:
        return result
    return result | {"interval": interval, "detectable": (interval[1] - interval[0]) / 2}


def _t_interval(
    difference: float, candidate: Floats, baseline: Floats, recordings: float | None, units: int
) -> dict[str, Any]:
    """Returns the interval for other recordings and other seeds: difference ± t · SE; {} where undefined.

    SE² = recordings² + s² / K of each group with several runs, s their standard deviation. Degrees of freedom after
    B. L. Welch, Biometrika 34 (1947) 28–35, and F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110–114: units − 1
    and K − 1 for the parts.

    Args:
      recordings: standard deviation of the difference over resamples of the recordings; None where undefined.
    """
    from scipy import stats

    if recordings is None or units < 2:
        return {}
    runs = {"candidate": candidate, "baseline": baseline}
    seeds = {name: float(np.var(each, ddof=1) / len(each)) for name, each in runs.items() if len(each) > 1}
    parts = [(recordings**2, units - 1), *((part, len(runs[name]) - 1) for name, part in seeds.items())]
    variance = sum(part for part, _ in parts)
    if variance < _ROUNDING**2:
        return {}
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(variance))
    errors = {name: float(np.sqrt(seeds[name])) if name in seeds else None for name in runs}
    return {
        "interval": [difference - half, difference + half],
        "detectable": half,
        "standard_error": {"recordings": recordings} | errors,
        "degrees_of_freedom": float(freedom),
    }
