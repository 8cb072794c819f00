"""How certain a difference between two groups of runs is: its interval, and McNemar's exact test of single runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xecgnet_jax.evaluation.intervals import LEVEL, percentile_interval, standard_error
from xecgnet_jax.evaluation.metrics import Floats, none_if_nan

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
    several = max(len(candidate), len(baseline)) > 1
    difference, identical = float(np.mean(candidate) - np.mean(baseline)), False
    found: dict[str, Any] = {"interval": None, "detectable": None}
    if several:
        found |= {"standard_error": None, "degrees_of_freedom": None}
    if not np.isnan(difference):
        spread = max(np.ptp(candidate), np.ptp(baseline))
        identical = bool(np.nanmax(np.abs([difference, spread, *resampled])) < _ROUNDING)
        if several:
            found |= _t_interval(difference, candidate, baseline, standard_error(resampled), units)
        elif interval := percentile_interval(resampled):
            found |= {"interval": interval, "detectable": (interval[1] - interval[0]) / 2}
    method = "t" if several else "bootstrap"
    return {"difference": none_if_nan(difference), "method": method, "identical": identical, **found}


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


def exact_p(only_candidate: int, only_baseline: int) -> float:
    """Returns the two-sided p of the two discordant counts: a fair coin thrown for each; 1 without any.

    Q. McNemar, Psychometrika 12 (1947) 153–157, in its exact form.
    """
    from scipy import stats

    discordant = int(only_candidate) + int(only_baseline)
    return float(stats.binomtest(int(only_candidate), discordant).pvalue) if discordant else 1.0


def mcnemar(candidate: np.ndarray, baseline: np.ndarray) -> dict[str, Any]:
    """Returns the test of two runs, given for each, [R] bool, whether it predicts exactly the true label set.

    Returns:
      "recordings", and of them exact in "both", "only_candidate", "only_baseline", "neither"; "p", None without
      recordings.
    """
    candidate, baseline = np.asarray(candidate, bool), np.asarray(baseline, bool)
    masks = {
        "both": candidate & baseline,
        "only_candidate": candidate & ~baseline,
        "only_baseline": ~candidate & baseline,
        "neither": ~candidate & ~baseline,
    }
    counts = {name: int(mask.sum()) for name, mask in masks.items()}
    p = exact_p(counts["only_candidate"], counts["only_baseline"]) if len(candidate) else None
    return {"recordings": len(candidate), **counts, "p": p}


def least_difference(discordant: int) -> int:
    """Returns the smallest difference of the discordant counts that the test can tell from chance.

    Where all `discordant` in one run would not do, as many as would: 6.
    """
    for total in range(discordant, discordant + 7):
        for more in range((total + 1) // 2, total + 1):
            if exact_p(more, total - more) < 1 - LEVEL:
                return 2 * more - total
    raise AssertionError("six more in one run are always enough")


def pair_runs(candidate: Sequence[int | None], baseline: Sequence[int | None]) -> list[tuple[int, int]]:
    """Returns the positions, in both groups, of the runs that are tested against each other, given their seeds.

    Those of one seed where both groups have each seed once (None: unknown) and some in common; else the i-th with the
    i-th where there are equally many; else none.
    """
    known = all(None not in seeds and len(set(seeds)) == len(seeds) for seeds in (candidate, baseline))
    if known and (common := [seed for seed in candidate if seed in baseline]):
        return [(list(candidate).index(seed), list(baseline).index(seed)) for seed in common]
    return [(index, index) for index in range(len(candidate))] if len(candidate) == len(baseline) else []
