"""Two sides on the same recordings: does one do better, and how small a difference could have been seen?

A side is one run or several (seeds). Every difference is the first side's figure minus the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation import wording
from xecgnet_jax.evaluation.differences import difference
from xecgnet_jax.evaluation.figures import decision_figures, ranking_figures
from xecgnet_jax.evaluation.intervals import LEVEL, RESAMPLES, bootstrap, units_of
from xecgnet_jax.evaluation.mcnemar import least_difference, mcnemar, pairs
from xecgnet_jax.evaluation.metrics import GROUPS, groups_of
from xecgnet_jax.evaluation.scores import check_arrays, describe_resampling

#: Groups of recordings whose subset accuracies are compared.
COMPARED_GROUPS = GROUPS[:3]
#: Figure → its name in a sentence.
FIGURES = {
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
#: Figures whose sentences make up the comparison's words.
SPOKEN = tuple(FIGURES)[:5]
#: Figures of which less is better.
LOWER_IS_BETTER = ("hamming_loss",)
#: How many ids an error names.
_NAMED = 3


class Side(NamedTuple):
    """One side of a comparison: K runs scored on R recordings.

    Attributes:
      name: in tables and sentences.
      runs: K names.
      seeds: K seeds, None where unknown; runs of one seed are tested against each other.
      labels: [R, C], 0 or 1.
      probabilities: [K, R, C].
      predictions: [K, R, C], 0 or 1.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    predictions: np.ndarray


def check_same_recordings(
    ids_one: Sequence[str], labels_one: np.ndarray, ids_other: Sequence[str], labels_other: np.ndarray
) -> None:
    """Refuses two sides that were not scored on the same recordings, in the same order, with the same labels.

    Raises:
      CheckpointError: says how many recordings differ and names the first.
    """
    known_one, known_other = set(ids_one), set(ids_other)
    only_one = [name for name in ids_one if name not in known_other]
    only_other = [name for name in ids_other if name not in known_one]
    if only_one or only_other:
        raise CheckpointError(
            f"the sides were scored on different recordings: {_some(only_one)} on the first side only, "
            f"{_some(only_other)} on the second only; score both on the same part of the same corpus"
        )
    if list(ids_one) != list(ids_other):
        moved = [name for name, other in zip(ids_one, ids_other, strict=False) if name != other] or list(ids_one)
        raise CheckpointError(
            f"the sides have the same recordings in another order, or some twice, from {moved[0]} on; score both again"
        )
    if np.shape(labels_one) != np.shape(labels_other):
        raise CheckpointError(
            f"the sides have labels of other shapes, {np.shape(labels_one)} and {np.shape(labels_other)}; "
            "compare runs with the same classes"
        )
    differ = np.flatnonzero(np.any(np.asarray(labels_one) != np.asarray(labels_other), axis=1))
    if len(differ):
        raise CheckpointError(
            f"the sides have other labels for {_some([ids_one[index] for index in differ.tolist()])}; "
            "score both again with the same corpus"
        )


def compare(
    one: Side,
    other: Side,
    *,
    patients: Sequence[str | None] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Differences of two sides with intervals, exact tests, and what follows in words; JSON values.

    With one run a side the interval is the percentile interval of the paired bootstrap: both sides on the same
    resamples. With several it is the difference of the means ± t · SE, SE² = (bootstrap of that difference)² +
    variance of the seeds / runs of each side, with Welch and Satterthwaite's degrees of freedom. The layout of the
    result and the reasons are in docs/evaluation.md.

    Args:
      one, other: the sides, on the same recordings.
      patients: [R] patient of each recording, None where unknown; patients with several recordings are resampled whole.
      resamples, seed: of the bootstrap.

    Raises:
      ValueError: arrays that do not fit, or sides with other labels.
    """
    labels = _checked(one, other)
    units = units_of(len(labels), patients)
    at_1 = [_figures_of(side, np.ones((1, len(labels)))) for side in (one, other)]
    resampled = bootstrap(lambda weights: _mean_differences(one, other, weights), units, resamples=resamples, seed=seed)
    tests = _tests(one, other)
    groups = dict(zip(COMPARED_GROUPS, groups_of(labels), strict=False))
    figures = {}
    for key in FIGURES:
        group = key.removeprefix("subset_accuracy_")
        members = groups.get(group)
        drawn = units.number if members is None else len(np.unique(units.of[members]))
        values = [side[key][:, 0] for side in at_1]
        entry = _entry(key, values[0], values[1]) | difference(values[0], values[1], resampled[key], drawn)
        own_tests: list[dict[str, Any]] = []
        if members is not None:
            own_tests = [pair["groups"][group] for pair in tests]
            entry["recordings"] = int(members.sum())
            entry["same_predictions"] = np.array_equal(one.predictions[:, members], other.predictions[:, members])
            if entry["method"] == "bootstrap":
                entry["detectable"] = _detectable(own_tests[0])
        entry["verdict"] = _verdict(entry, own_tests)
        figures[key] = entry | {"words": wording.words(entry, group, own_tests, one.name, other.name)}
    return {
        "one": _described(one),
        "other": _described(other),
        "recordings": {group: int(members.sum()) for group, members in groups.items()},
        "figures": figures,
        "mcnemar": tests,
        "words": [figures[key]["words"] for key in SPOKEN],
        "notes": wording.notes(
            (len(one.runs), len(other.runs)), (one.name, other.name), pairs=len(tests), patients_repeat=units.repeat
        ),
        "resampling": describe_resampling(units, resamples, seed),
    }


def _checked(one: Side, other: Side) -> np.ndarray:
    """The labels, where everything fits."""
    for side in (one, other):
        if not len(side.predictions) == len(side.probabilities) == len(side.runs) == len(side.seeds) > 0:
            raise ValueError(
                f"{side.name}: {len(side.runs)} names, {len(side.seeds)} seeds, {len(side.probabilities)} "
                f"probabilities and {len(side.predictions)} predictions of runs; they must be as many, at least one"
            )
        for probabilities, predictions in zip(side.probabilities, side.predictions, strict=True):
            check_arrays(side.labels, probabilities, predictions, np.shape(side.labels)[-1])
    if not np.array_equal(one.labels, other.labels):
        raise ValueError(f"{one.name} and {other.name} have other labels; score both on the same recordings")
    return np.asarray(one.labels)


def _figures_of(side: Side, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Figure → [K, B] of a side's runs."""
    runs = []
    for probabilities, predictions in zip(side.probabilities, side.predictions, strict=True):
        found = decision_figures(side.labels, predictions, weights) | ranking_figures(
            side.labels, probabilities, weights
        )
        for index, group in enumerate(COMPARED_GROUPS):
            found[f"subset_accuracy_{group}"] = found["subset_accuracy"][:, index]
        runs.append(found)
    return {key: np.stack([run[key] for run in runs]) for key in FIGURES}


def _mean_differences(one: Side, other: Side, weights: np.ndarray) -> dict[str, np.ndarray]:
    means = [{key: runs.mean(axis=0) for key, runs in _figures_of(side, weights).items()} for side in (one, other)]
    return {key: means[0][key] - means[1][key] for key in FIGURES}


def _tests(one: Side, other: Side) -> list[dict[str, Any]]:
    """Exact McNemar tests of each pair of runs, by group."""
    groups = dict(zip(COMPARED_GROUPS, groups_of(one.labels), strict=False))
    exact = [np.all(side.predictions == side.labels, axis=2) for side in (one, other)]
    return [
        {
            "one": one.runs[first],
            "other": other.runs[second],
            "seed": one.seeds[first] if one.seeds[first] == other.seeds[second] else None,
            "groups": {
                group: mcnemar(exact[0][first, members], exact[1][second, members]) for group, members in groups.items()
            },
        }
        for first, second in pairs(one.seeds, other.seeds)
    ]


def _verdict(entry: dict[str, Any], tests: list[dict[str, Any]]) -> str:
    """ "better" or "worse" (the first side), "not distinguishable", "identical", "undefined".

    With one run a side, a subset accuracy must pass both the interval and the exact test.
    """
    if entry["difference"] is None:
        return "undefined"
    if entry["identical"]:
        return "identical"
    tested = entry["method"] == "bootstrap" and bool(tests)
    if entry["interval"] is None and not tested:
        return "undefined"
    leaves_out_0 = entry["interval"] is None or not entry["interval"][0] <= 0 <= entry["interval"][1]
    if not leaves_out_0 or (tested and tests[0]["p"] >= 1 - LEVEL):
        return "not distinguishable"
    return "better" if (entry["difference"] > 0) == (entry["better"] == "higher") else "worse"


def _detectable(test: dict[str, Any]) -> float | None:
    """The smallest difference that the exact test could have told, given on how many recordings the sides differ."""
    needed = least_difference(test["only_one"] + test["only_other"])
    return needed / test["recordings"] if needed <= test["recordings"] else None


def _entry(key: str, one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    better = "lower" if key in LOWER_IS_BETTER else "higher"
    return {"label": FIGURES[key], "better": better, "one": _spread(one), "other": _spread(other)}


def _spread(values: np.ndarray) -> dict[str, Any]:
    """Mean, standard deviation between runs and every run's figure."""
    shown = [None if np.isnan(value) else float(value) for value in values]
    sd = float(np.std(values, ddof=1)) if len(values) > 1 and None not in shown else None
    return {"mean": None if None in shown else float(np.mean(values)), "sd": sd, "values": shown}


def _described(side: Side) -> dict[str, Any]:
    return {"name": side.name, "runs": list(side.runs), "seeds": list(side.seeds)}


def _some(names: Sequence[str]) -> str:
    """3 recordings (A0001, A0002, A0003), or how many and the first few."""
    number = f"{len(names)} recording{'' if len(names) == 1 else 's'}"
    if not names:
        return number
    return f"{number} ({', '.join(names[:_NAMED])}{', …' if len(names) > _NAMED else ''})"
