"""What follows from a comparison, in words."""

from __future__ import annotations

from typing import Any

from xecgnet_jax.evaluation.intervals import LEVEL

#: Groups of recordings as sentences name them.
_RECORDINGS = {
    "all": "recordings",
    "single_label": "recordings with one class",
    "multi_label": "recordings with several classes",
}


def words(entry: dict[str, Any], group: str, tests: list[dict[str, Any]], one: str, other: str) -> str:
    """What a figure says about two sides, in one to three sentences.

    Args:
      entry: of the figure, with its verdict; see `comparison.compare`.
      group: "all", "single_label" or "multi_label" where the figure is the subset accuracy of a group of recordings.
      tests: exact McNemar test of each pair of runs in this group.
      one, other: names of the sides.
    """
    if group in _RECORDINGS:
        return _of_group(entry, _RECORDINGS[group], tests, one, other)
    label = entry["label"][0].upper() + entry["label"][1:]
    if entry["difference"] is None:
        return f"{label} is undefined for these recordings."
    if entry["verdict"] == "identical":
        return f"{label} of {one} and {other} is the same, {_shown(entry['one'])}."
    sentence = f"{label} of {one} is {_shown(entry['one'])}, of {other} {_shown(entry['other'])}; "
    sentence += _conclusion(entry, tests, one, other)
    if entry["verdict"] == "not distinguishable":
        sentence += f" A difference below about {entry['detectable']:.3f} could not have been seen."
    return sentence


def notes(runs: tuple[int, int], names: tuple[str, str], *, pairs: int, patients_repeat: bool) -> list[str]:
    """What the intervals and tests do not know.

    Args:
      runs: of each side.
      names: of each side.
      pairs: of runs that were tested against each other.
      patients_repeat: whether a patient has several recordings.
    """
    found = []
    if runs == (1, 1):
        found.append(
            "One run on each side: intervals and tests are about these two runs on other recordings. How far other "
            "seeds would fall from them is unknown, so a difference between them need not be one between methods."
        )
    else:
        found.append("Intervals are for other recordings and other seeds.")
    for number, name in zip(runs, names, strict=True):
        if number == 1 and runs != (1, 1):
            found.append(
                f"{name} is a single run: the spread of its seeds is unknown and not in the intervals, which are "
                "narrower than they should be."
            )
    if not pairs:
        found.append("No McNemar tests: the sides have no seeds in common and not as many runs.")
    if pairs > 1:
        found.append("McNemar's tests of several pairs of runs share their recordings: do not pool or count them.")
    if patients_repeat:
        found.append(
            "Some patients have several recordings. The intervals resample patients; McNemar's test takes recordings "
            "for independent, so its p may be too small."
        )
    found.append(
        "Each interval is for one figure by itself: where nothing differs, about one in twenty leaves out 0 by chance."
    )
    return found


def _of_group(entry: dict[str, Any], what: str, tests: list[dict[str, Any]], one: str, other: str) -> str:
    number = entry["recordings"]
    if not number:
        return f"There are no {what}, so nothing can be said about them."
    these = f"On these {number} {what}" if number > 1 else f"On the one {what.replace('recordings', 'recording')}"
    if entry["same_predictions"]:
        return f"{these}, {one} and {other} predict the same classes: there is nothing to compare."
    if entry["verdict"] == "identical":
        exact = _exact(entry["one"], number)
        return f"{these}, {one} and {other} are exact on the same {exact}: they differ in how they are wrong only."
    sentence = f"{these}, {one} is exact on {_exact(entry['one'], number)} and {other} on "
    sentence += f"{_exact(entry['other'], number)}; {_conclusion(entry, tests, one, other)}"
    if entry["verdict"] != "not distinguishable":
        return sentence
    if entry["detectable"] is None or entry["detectable"] > 1:
        few = "recordings" if entry["method"] == "bootstrap" else "recordings and runs"
        return f"{sentence} So few {few} could not have shown any difference."
    return (
        f"{sentence} With {number} such recordings, a difference below about {entry['detectable']:.3f} could not have "
        "been seen."
    )


def _conclusion(entry: dict[str, Any], tests: list[dict[str, Any]], one: str, other: str) -> str:
    """The difference, its interval, the exact test of a single pair of runs, and what they say."""
    interval, verdict = entry["interval"], entry["verdict"]
    known = "no interval" if interval is None else f"95 % interval {signed(interval[0])} to {signed(interval[1])}"
    p = tests[0]["p"] if tests and entry["method"] == "bootstrap" else None
    known += "" if p is None else f"; exact McNemar p {_probability(p)}"
    difference = f"the difference of {signed(entry['difference'])} ({known})"
    if verdict in ("better", "worse"):
        return f"{difference} is more than chance explains: {_better(entry, one, other)}."
    if verdict == "undefined":
        return f"{difference} says nothing: too many resamples of the recordings leave it undefined."
    if p is not None and interval is not None:
        leaves_out_0 = not interval[0] <= 0 <= interval[1]
        if leaves_out_0:
            return f"{difference} does not tell them apart: the interval leaves out 0, but the exact test does not."
        if p < 1 - LEVEL:
            return f"{difference} does not tell them apart: the exact test would, but the interval holds 0."
    return f"{difference} does not tell them apart."


def _better(entry: dict[str, Any], one: str, other: str) -> str:
    """Which side is better, and of what that can be said: one run may be a lucky seed."""
    name = one if entry["verdict"] == "better" else other
    if entry["method"] == "bootstrap":
        return f"{name} is the better of the two runs"
    single = [side for side, key in ((one, "one"), (other, "other")) if entry["standard_error"][key] is None]
    return f"{name} is better, if the one run of {single[0]} is typical" if single else f"{name} is better"


def _exact(side: dict[str, Any], number: int) -> str:
    """How many recordings are exact: a count, or the mean over several runs with their counts."""
    counts = [round(value * number) for value in side["values"]]
    if len(counts) == 1:
        return str(counts[0])
    return f"{sum(counts) / len(counts):.1f} ({', '.join(map(str, counts))})"


def _shown(side: dict[str, Any]) -> str:
    return f"{side['mean']:.3f}" + ("" if side["sd"] is None else f" ± {side['sd']:.3f}")


def signed(value: float) -> str:
    """+0.034, −0.069; what rounds to nothing has no sign."""
    text = f"{abs(value):.3f}"
    return text if not float(text) else f"{'+' if value > 0 else '−'}{text}"


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
