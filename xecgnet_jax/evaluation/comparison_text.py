"""A comparison in sentences, and as tables for the terminal, at most 120 columns wide."""

from __future__ import annotations

from typing import Any

from xecgnet_jax.evaluation.intervals import LEVEL
from xecgnet_jax.evaluation.table import LABEL_COUNT_NAMES, clip_text, format_mean, format_p, format_signed, wrap_text

_GROUPS = ("candidate", "baseline")
#: The longest name of a group that a heading shows whole.
_NAME = 15


def describe_difference(
    entry: dict[str, Any], label_count: str, tests: list[dict[str, Any]], candidate: str, baseline: str
) -> str:
    """Returns what a metric says about two groups of these names, in one to three sentences.

    `entry` is that of the metric with its verdict, see `comparison.compare`. `label_count` is "all", "single_label" or
    "multi_label" where the metric is the subset accuracy of these recordings, `tests` their exact McNemar tests.
    """
    both, mean, baseline_mean = f"{candidate} and {baseline}", *(format_mean(entry[group]) for group in _GROUPS)
    detectable = entry["detectable"]
    unseen = "" if detectable is None else f"difference below about {detectable:.3f} could not have been seen."
    if label_count in LABEL_COUNT_NAMES:
        number = entry["recordings"]
        what = "recordings" if label_count == "all" else f"recordings with {LABEL_COUNT_NAMES[label_count]}"
        if not number:
            return f"There are no {what}, so nothing can be said about them."
        these = f"On these {number} {what}" if number > 1 else f"On the one {what.replace('recordings', 'recording')}"
        exact, exact_baseline = (_count_exact(entry[group], number) for group in _GROUPS)
        if entry["same_predictions"]:
            return f"{these}, {both} predict the same classes: there is nothing to compare."
        if entry["verdict"] == "identical" and exact == "0":
            return f"{these}, neither {candidate} nor {baseline} is exact on any."
        if entry["verdict"] == "identical":
            return f"{these}, {both} are exact on the same {exact}: they differ only in how they are wrong."
        sentence = f"{these}, {candidate} is exact on {exact} and {baseline} on {exact_baseline}"
        few = "recordings" if entry["method"] == "bootstrap" else "recordings and runs"
        unseen = f"With {number} such recordings, a {unseen}"
        if detectable is None or detectable > 1:
            unseen = f"So few {few} could not have shown any difference."
    else:
        label = entry["label"][0].upper() + entry["label"][1:]
        if entry["difference"] is None:
            return f"{label} is undefined for these recordings."
        if entry["verdict"] == "identical":
            return f"{label} of {both} is the same, {mean}."
        sentence, unseen = f"{label} of {candidate} is {mean}, of {baseline} {baseline_mean}", f"A {unseen}"
    sentence += f"; {_conclude(entry, tests, candidate, baseline)}"
    return f"{sentence} {unseen}" if entry["verdict"] == "not distinguishable" else sentence


def notes(runs: tuple[int, int], names: tuple[str, str], *, pairs: int, patients_repeat: bool) -> list[str]:
    """Returns what the intervals and tests do not know.

    `runs` and `names` are the number of runs and the name of candidate and baseline, `pairs` is how many pairs of runs
    were tested against each other, `patients_repeat` whether a patient has several recordings.
    """
    found = ["Intervals are for other recordings and other seeds."]
    if runs == (1, 1):
        found = [
            "One run in each group: intervals and tests are about these two runs on other recordings. How far other "
            "seeds would fall from them is unknown, so a difference between them need not be one between methods."
        ]
    found += [
        f"{name} is a single run: the spread of its seeds is unknown and not in the intervals, which are narrower than "
        "they should be."
        for number, name in zip(runs, names, strict=True)
        if number == 1 and runs != (1, 1)
    ]
    if not pairs:
        found.append("No McNemar tests: the groups have no seeds in common and not equally many runs.")
    if pairs > 1:
        found.append("McNemar's tests of several pairs of runs share their recordings: do not pool or count them.")
    if patients_repeat:
        found.append(
            "Some patients have several recordings. The intervals resample patients; McNemar's test takes recordings "
            "as independent, so its p may be too small."
        )
    return [
        *found,
        "Each interval is for one metric by itself: where nothing differs, about one in twenty leaves out 0 by chance.",
    ]


def _conclude(entry: dict[str, Any], tests: list[dict[str, Any]], candidate: str, baseline: str) -> str:
    """Returns the difference, its interval, the exact test of a single pair of runs, and what they say."""
    interval, verdict = entry["interval"], entry["verdict"]
    known = "no interval"
    if interval is not None:
        known = f"{100 * LEVEL:g} % interval {format_signed(interval[0])} to {format_signed(interval[1])}"
    p = tests[0]["p"] if tests and entry["method"] == "bootstrap" else None
    if p is not None:
        known += f"; exact McNemar p {'' if p < 0.001 else '= '}{format_p(p)}"
    difference = f"the difference of {format_signed(entry['difference'])} ({known})"
    if verdict in ("better", "worse"):
        better = f"{candidate if verdict == 'better' else baseline} is"
        if entry["method"] == "bootstrap":  # One run may be a lucky seed.
            return f"{difference} is more than chance explains: {better} the better of the two runs."
        names, errors = zip((candidate, baseline), _GROUPS, strict=True), entry["standard_error"]
        alone = [f", if the one run of {name} is typical" for name, key in names if errors[key] is None]
        return f"{difference} is more than chance explains: {better} better{''.join(alone)}."
    if verdict == "undefined":
        return f"{difference} says nothing: it is undefined in too many resamples of the recordings."
    why = ""
    if p is not None and interval is not None:
        if not interval[0] <= 0 <= interval[1]:
            why = ": the interval leaves out 0, but the exact test does not"
        elif p < 1 - LEVEL:
            why = ": the exact test would, but the interval holds 0"
    return f"{difference} does not tell them apart{why}."


def _count_exact(runs: dict[str, Any], recordings: int) -> str:
    """Returns how many recordings are exact: a count, or the mean over several runs with their counts."""
    counts = [round(value * recordings) for value in runs["values"]]
    if len(counts) == 1:
        return str(counts[0])
    return f"{sum(counts) / len(counts):.1f} ({', '.join(map(str, counts))})"


def format_comparison(result: dict[str, Any], title: str) -> str:
    """Returns differences with intervals, exact tests of pairs of runs, and what follows; from `comparison.compare`."""
    lines = [title, ""]
    for group in _GROUPS:
        seeds = ["" if seed is None else f" (seed {seed})" for seed in result[group]["seeds"]]
        runs = ", ".join(name + seed for name, seed in zip(result[group]["runs"], seeds, strict=True))
        lines += wrap_text(f"{group} {result[group]['name']}: {runs}", "  ")
    lines += ["", *_differences(result), "", *_tests(result)]
    for sentence in result["words"]:
        lines += wrap_text(f"- {sentence}", "  ")
    lines.append("")
    for note in result["notes"]:
        lines += wrap_text(note)
    return "\n".join(lines)


def _differences(result: dict[str, Any]) -> list[str]:
    resampling, entries = result["resampling"], result["metrics"].values()
    names = [result[group]["name"] for group in _GROUPS]
    if max(map(len, names)) > _NAME:  # cut off, they might be the same
        names = list(_GROUPS)
    verdicts = {"better": f"{names[0]} better", "worse": f"{names[1]} better"}
    level = f"{100 * resampling['level']:g} % interval"
    lines = [f"{'':<33}{names[0]:>16}{names[1]:>16}{'difference':>12}   {level}"]
    for entry in entries:
        means = "".join(f"{format_mean(entry[group]):>16}" for group in _GROUPS)
        interval = " to ".join(map(format_signed, entry["interval"])) if entry["interval"] else "–"
        verdict = verdicts.get(entry["verdict"], entry["verdict"])
        difference = format_signed(entry["difference"])
        lines.append(f"{entry['label']:<33}{means}{difference:>12}   {interval:<18}{verdict}".rstrip())
    several = any(entry["method"] == "t" for entry in entries)
    return [
        *lines,
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']} (seed "
        f"{resampling['seed']}), the same for both groups" + ("; ± and intervals include seeds." if several else "."),
    ]


def _tests(result: dict[str, Any]) -> list[str]:
    """Returns one block per pair of runs; nothing where there is none."""
    lines: list[str] = []
    columns = {"both": 8, "only_candidate": 16, "only_baseline": 15, "neither": 9}
    heading = "".join(f"{name.replace('_', ' '):>{width}}" for name, width in columns.items())
    for pair in result["mcnemar"]:
        lines.append(clip_text(f"exact McNemar test of {pair['candidate']} and {pair['baseline']}"))
        lines.append(f"{'recordings exact in':<22}{heading}{'of':>7}{'p':>9}")
        for name, test in pair["by_label_count"].items():
            counts = "".join(f"{test[key]:>{width}}" for key, width in columns.items())
            lines.append(f"  {LABEL_COUNT_NAMES[name]:<20}{counts}{test['recordings']:>7}{format_p(test['p']):>9}")
        lines.append("")
    return lines
