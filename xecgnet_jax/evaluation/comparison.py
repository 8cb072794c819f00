"""Two groups of runs on the same recordings: does one do better, and how small a difference could have been seen?

A group is one run or several that differ in the seed. Every difference is candidate − baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from xecgnet_jax.evaluation import intervals, metrics
from xecgnet_jax.evaluation.comparison_text import describe_difference, notes
from xecgnet_jax.evaluation.metrics import Floats, none_if_nan

#: Recordings whose subset accuracies are compared: all, those with one class, those with several.
COMPARED = metrics.LABEL_COUNTS[:3]
#: Metric → its name in a sentence.
METRICS = {
    "subset_accuracy_all": "subset accuracy",
    "subset_accuracy_single_label": "subset accuracy, one class",
    "subset_accuracy_multi_label": "subset accuracy, several classes",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "samples_f1": "samples F1",
    "hamming_loss": "Hamming loss",
    "macro_auroc": "macro AUROC",
    "macro_average_precision": "macro average precision",
}
#: Metrics whose sentences make up the comparison's words.
IN_WORDS = tuple(METRICS)[:5]
#: A difference below this is one of rounding.
_ROUNDING = 1e-12


class Group(NamedTuple):
    """K runs scored on R recordings with C classes.

    Attributes:
      name: in tables and sentences.
      runs, seeds: K each; a seed is None where unknown, and runs of one seed are tested against each other.
      labels: [R, C], predictions: [K, R, C], 0 or 1.
      probabilities: [K, R, C].
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    labels: npt.NDArray[np.integer]
    probabilities: npt.NDArray[np.floating]
    predictions: npt.NDArray[np.integer]


def compare(
    candidate: Group,
    baseline: Group,
    *,
    patients: Sequence[str | None] | None = None,
    resamples: int = intervals.RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns differences of two groups with intervals, exact tests, and what follows in words; JSON values.

    With one run in each group the interval is the percentile interval of the paired bootstrap: both groups on the same
    resamples. With several it is the difference of the means ± t · SE, SE² = (bootstrap of that difference)² +
    variance of the seeds / runs of each group, with Welch and Satterthwaite's degrees of freedom. The
    result::

        candidate, baseline  name, runs, seeds
        recordings           {all, single_label, multi_label}
        metrics              {KEY}: label, better (higher or lower), candidate and baseline {mean, sd, values},
                             difference, interval, detectable, method (bootstrap or t), identical, verdict, words,
                             standard_error and degrees_of_freedom (t only),
                             recordings and same_predictions (subset accuracies only)
        mcnemar              [{candidate, baseline, seed, by_label_count {all, single_label, multi_label}:
                             recordings, both, only_candidate, only_baseline, neither, p}]
        words, notes         sentences
        resampling           as in `scores.evaluate`

    KEY is one of `METRICS`. `verdict` is better or worse (the candidate), not distinguishable, identical or undefined.

    Args:
      candidate, baseline: the groups, on the same recordings.
      patients: [R] patient of each recording, None where unknown; patients with several recordings are resampled whole.
      resamples, seed: of the bootstrap.

    Raises:
      ValueError: arrays that do not fit, or groups with different labels.
    """
    groups, names = (candidate, baseline), (candidate.name, baseline.name)
    _check_groups(groups)

    def mean_differences(weights: Floats) -> dict[str, Floats]:
        of_candidate, of_baseline = (_run_metrics(group, weights) for group in groups)
        return {key: of_candidate[key].mean(axis=0) - of_baseline[key].mean(axis=0) for key in METRICS}

    units = intervals.resampling_units(len(candidate.labels), patients)
    resampled = intervals.bootstrap(mean_differences, units, resamples=resamples, seed=seed)
    of_candidate, of_baseline = (_run_metrics(group) for group in groups)
    masks = dict(zip(COMPARED, metrics.label_count_masks(candidate.labels), strict=False))
    tests = _mcnemar_tests(candidate, baseline, masks)
    entries: dict[str, Any] = {}
    for key, label in METRICS.items():
        values, baseline_values = of_candidate[key][:, 0], of_baseline[key][:, 0]
        label_count = key.removeprefix("subset_accuracy_")
        mask = masks.get(label_count)
        used = units.number if mask is None else len(np.unique(units.of_recording[mask]))
        entry = {
            "label": label,
            "better": "lower" if key == "hamming_loss" else "higher",
            "candidate": _describe_runs(values),
            "baseline": _describe_runs(baseline_values),
            **estimate_difference(values, baseline_values, resampled[key], used),
        }
        own_tests: list[dict[str, Any]] = []
        if mask is not None:
            own_tests = [pair["by_label_count"][label_count] for pair in tests]
            entry["recordings"] = int(mask.sum())
            entry["same_predictions"] = np.array_equal(candidate.predictions[:, mask], baseline.predictions[:, mask])
            if entry["method"] == "bootstrap":
                # What the exact test could have told, given on how many recordings the runs differ.
                needed = least_difference(own_tests[0]["only_candidate"] + own_tests[0]["only_baseline"])
                entry["detectable"] = needed / entry["recordings"] if needed <= entry["recordings"] else None
        entry["verdict"] = _verdict(entry, own_tests)
        entries[key] = entry | {"words": describe_difference(entry, label_count, own_tests, *names)}
    sizes = len(candidate.runs), len(baseline.runs)
    described = [{"name": group.name, "runs": list(group.runs), "seeds": list(group.seeds)} for group in groups]
    return {
        "candidate": described[0],
        "baseline": described[1],
        "recordings": {name: int(mask.sum()) for name, mask in masks.items()},
        "metrics": entries,
        "mcnemar": tests,
        "words": [entries[key]["words"] for key in IN_WORDS],
        "notes": notes(sizes, names, pairs=len(tests), patients_repeat=units.repeat),
        "resampling": units.describe(resamples, seed),
    }


def _check_groups(groups: tuple[Group, Group]) -> None:
    for group in groups:
        if not len(group.predictions) == len(group.probabilities) == len(group.runs) == len(group.seeds) > 0:
            raise ValueError(
                f"{group.name}: {len(group.runs)} names, {len(group.seeds)} seeds, {len(group.probabilities)} "
                f"probabilities and {len(group.predictions)} predictions of runs; they must be as many, at least one"
            )
        for probabilities, predictions in zip(group.probabilities, group.predictions, strict=True):
            metrics.check_arrays(group.labels, probabilities, predictions, np.shape(group.labels)[-1])
    if not np.array_equal(groups[0].labels, groups[1].labels):
        raise ValueError(f"{groups[0].name} and {groups[1].name} have different labels; use the same recordings")


def _run_metrics(group: Group, weights: Floats | None = None) -> dict[str, Floats]:
    """Returns metric → [K, B] of the group's runs."""
    runs = []
    for probabilities, predictions in zip(group.probabilities, group.predictions, strict=True):
        found = metrics.label_set_metrics(group.labels, predictions, weights)
        accuracies = {f"subset_accuracy_{name}": found["subset_accuracy"][:, i] for i, name in enumerate(COMPARED)}
        runs.append(found | accuracies | metrics.ranking_metrics(group.labels, probabilities, weights))
    return {key: np.stack([run[key] for run in runs]) for key in METRICS}


def _mcnemar_tests(candidate: Group, baseline: Group, masks: dict[str, npt.NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """Returns the exact McNemar tests of each pair of runs, by label count."""
    exact, exact_baseline = (np.all(group.predictions == group.labels, axis=2) for group in (candidate, baseline))
    return [
        {
            "candidate": candidate.runs[i],
            "baseline": baseline.runs[j],
            "seed": candidate.seeds[i] if candidate.seeds[i] == baseline.seeds[j] else None,
            "by_label_count": {name: mcnemar(exact[i, mask], exact_baseline[j, mask]) for name, mask in masks.items()},
        }
        for i, j in pair_runs(candidate.seeds, baseline.seeds)
    ]


def _verdict(entry: dict[str, Any], tests: list[dict[str, Any]]) -> str:
    """Returns "better" or "worse" (the candidate), "not distinguishable", "identical" or "undefined".

    With one run in each group, a subset accuracy must pass both the interval and the exact test.
    """
    if entry["difference"] is None:
        return "undefined"
    if entry["identical"]:
        return "identical"
    tested = entry["method"] == "bootstrap" and bool(tests)
    if entry["interval"] is None and not tested:
        return "undefined"
    holds_0 = entry["interval"] is not None and entry["interval"][0] <= 0 <= entry["interval"][1]
    if holds_0 or (tested and tests[0]["p"] >= 1 - intervals.LEVEL):
        return "not distinguishable"
    return "better" if (entry["difference"] > 0) == (entry["better"] == "higher") else "worse"


def _describe_runs(values: Floats) -> dict[str, Any]:
    """Returns mean, standard deviation between runs ("sd") and the value of every run."""
    shown = [none_if_nan(value) for value in values]
    sd = float(np.std(values, ddof=1)) if len(values) > 1 and None not in shown else None
    return {"mean": none_if_nan(float(np.mean(values))), "sd": sd, "values": shown}


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
    difference = float(np.mean(candidate) - np.mean(baseline))
    found: dict[str, Any] = {"difference": none_if_nan(difference), "method": "t" if several else "bootstrap"}
    found |= {"identical": False, "interval": None, "detectable": None}
    if several:
        found |= {"standard_error": None, "degrees_of_freedom": None}
    if not np.isnan(difference):
        spread = max(np.ptp(candidate), np.ptp(baseline))
        found["identical"] = bool(np.nanmax(np.abs([difference, spread, *resampled])) < _ROUNDING)
        if several:
            found |= _t_interval(difference, candidate, baseline, intervals.standard_error(resampled), units)
        elif interval := intervals.percentile_interval(resampled):
            found |= {"interval": interval, "detectable": (interval[1] - interval[0]) / 2}
    return found


def _t_interval(
    difference: float, candidate: Floats, baseline: Floats, recordings: float | None, units: int
) -> dict[str, Any]:
    """Returns the interval for other recordings and other seeds: difference ± t · SE; {} where undefined.

    SE² = recordings² + s² / K of each group with several runs, s their standard deviation; `recordings` is that of the
    difference over resamples of the recordings, None where undefined. Degrees of freedom after B. L. Welch, Biometrika
    34 (1947) 28–35, and F. E. Satterthwaite, Biometrics Bulletin 2 (1946) 110–114: units − 1 and K − 1 for the parts.
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
    half = float(stats.t.ppf((1 + intervals.LEVEL) / 2, freedom) * np.sqrt(variance))
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
    masks = candidate & baseline, candidate & ~baseline, ~candidate & baseline, ~candidate & ~baseline
    names = ("both", "only_candidate", "only_baseline", "neither")
    counts = {name: int(mask.sum()) for name, mask in zip(names, masks, strict=True)}
    p = exact_p(counts["only_candidate"], counts["only_baseline"]) if len(candidate) else None
    return {"recordings": len(candidate), **counts, "p": p}


def least_difference(discordant: int) -> int:
    """Returns the smallest difference of the discordant counts that the test can tell from chance.

    Where all `discordant` in one run would not do, as many as would: 6.
    """
    for total in range(discordant, discordant + 7):
        for more in range((total + 1) // 2, total + 1):
            if exact_p(more, total - more) < 1 - intervals.LEVEL:
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
