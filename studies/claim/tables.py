"""The tables of docs/claim.md, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from studies.claim.analysis import MARGIN, Difference, compare_outcomes, compare_scores, conclude, holm, power
from studies.claim.finished import Study, right_sets
from studies.claim.simulated import ARMS as SIMULATED_ARMS
from studies.claim.simulated import SEEDS, result_file
from studies.claim.study import ARMS, arm_config, planned, read_result, unpack_sets
from studies.claim.why import ARMS as WHY_ARMS
from xecgnet_jax.data.labels import CPSC2018

ENDPOINTS = ("exact", "ranked")
#: Arm → the arm that it is compared with, and what the difference is called.
OTHERS = {
    "tenth": ("zero", "γ = 0.1 − γ = 0"),
    "one": ("zero", "γ = 1 − γ = 0"),
    "true": ("zero", "match, by true classes − γ = 0"),
    "plain": ("zero", "plain network − γ = 0"),
    "large-match": ("large-zero", "preset large: match − γ = 0"),
    "wide-match": ("wide-zero", "width 1: match − γ = 0"),
    "adam-match": ("adam-zero", "the paper's optimizer: match − γ = 0"),
}


def progress(study: Study) -> str:
    """Says how many runs are there, and how long they took."""
    rows = []
    for arm, plan in ARMS.items():
        about, number = study.about(arm), plan.seeds * len(plan.rotations)
        if not about:
            continue
        hours = sum(one["seconds"] for one in about) / 3600
        epochs = f"{np.mean([one['best_epoch'] for one in about]):.1f} of {len(about[0]['epochs'])}"
        f1 = [max(epoch["validation_micro_f1"] for epoch in one["epochs"]) for one in about]
        rows.append([arm, f"{len(about)} of {number}", f"{hours:.1f}", epochs, f"{np.mean(f1):.3f}"])
    total = sum(one["seconds"] for arm in ARMS for one in study.about(arm)) / 3600
    heads = ["Arm", "Runs", "Hours", "Best epoch, mean", "Validation micro F1, mean"]
    return f"{len(study.runs)} of {len(planned())} runs are finished; they took {total:.1f} hours.\n\n" + table(
        heads, rows
    )


def recipe_table(reached: list[dict[str, float]]) -> str:
    """What each candidate for the recipe reached, and the mean that decides; the best first."""
    by_recipe: dict[tuple[int, float], dict[float, float]] = {}
    for one in reached:
        by_recipe.setdefault((int(one["epochs"]), one["learning_rate"]), {})[one["gamma"]] = one["micro_f1"]
    rows = [
        [
            str(epochs),
            f"{rate:g}",
            *(f"{f1:.4f}" for _, f1 in sorted(found.items())),
            f"{np.mean([*found.values()]):.4f}",
        ]
        for (epochs, rate), found in sorted(by_recipe.items(), key=lambda item: -np.mean([*item[1].values()]))
    ]
    return table(["Epochs", "Learning rate", "Micro F1, γ = 0", "Micro F1, match", "Mean"], rows)


def primary(study: Study) -> str:
    """The four primary comparisons, and the positive control."""
    rows, found = [], []
    for arm in ("match", "paper"):
        for endpoint in ENDPOINTS:
            found.append((arm, endpoint, study.difference(arm, "zero", endpoint, study.main_group)))
    corrected = holm([one.p for _, _, one in found])
    for (arm, endpoint, one), p in zip(found, corrected, strict=True):
        verdict = conclude(one)
        cells = [f"{arm} − zero, {endpoint}", *_cells(one), f"{p:.3f}", "yes" if one.equivalent else "no", verdict]
        rows.append(cells)
    for endpoint in ENDPOINTS:
        one = study.difference("half", "zero", endpoint, study.main_group)
        seen = one.interval[1] < 0 and one.points < -MARGIN
        verdict = "the endpoint sees it" if seen else "the endpoint does not see it"
        rows.append([f"control: half − zero, {endpoint}", *_cells(one), "", "", verdict])
    heads = ["Comparison", "Before", "After", "Difference [95 %]", "t [95 %]", "Odds ratio", "p (Holm)", "Equivalent"]
    return table([*heads, "So"], rows)


def other_groups(study: Study) -> str:
    """The same differences on other recordings."""
    rows = []
    for name, group in list(study.groups.items())[1:3]:
        for arm in ("match", "paper"):
            for endpoint in ENDPOINTS:
                one = study.difference(arm, "zero", endpoint, group)
                rows.append([f"{name} ({group.sum():,})", f"{arm} − zero, {endpoint}", *_cells(one)])
    return table(["Recordings", "Comparison", "Before", "After", "Difference [95 %]", "t [95 %]", "Odds ratio"], rows)


def secondary(study: Study) -> str:
    """The secondary comparisons, with Holm's correction over all of them."""
    rows: list[list[str]] = []
    p: list[float] = []

    def add(name: str, one: Difference) -> None:
        rows.append([name, f"{one.before:.1f} %", f"{one.after:.1f} %", _points(one.points, one.interval)])
        p.append(one.p)

    for arm in ("match", "paper"):
        add(f"{arm} − zero, one class, exact", study.difference(arm, "zero", "exact", study.groups["one class"]))
        for head in ("perception", "attention"):
            for endpoint in ENDPOINTS:
                one = study.difference(arm, "zero", endpoint, study.main_group, head)
                add(f"{arm} − zero, {head} head, {endpoint}", one)
        for metric in ("micro_f1", "macro_f1", "macro_auroc"):
            after, before = (100 * study.scores(name, metric) for name in (arm, "zero"))
            points, interval, chance = compare_scores(after, before)
            name = f"{arm} − zero, {metric.replace('_', ' ').replace('f1', 'F1').replace('auroc', 'AUROC')}"
            rows.append([name, f"{before.mean():.1f} %", f"{after.mean():.1f} %", _points(points, interval)])
            p.append(chance)
    for arm, (base, name) in OTHERS.items():
        if study.finished(arm) and study.finished(base):
            for endpoint in ENDPOINTS:
                add(f"{name}, {endpoint}", study.difference(arm, base, endpoint, study.main_group))
    for row, corrected in zip(rows, holm(p), strict=True):
        row.append(f"{corrected:.3f}")
    return table(["Comparison", "Before", "After", "Difference [95 %]", "p (Holm)"], rows)


def errors_table(study: Study) -> str:
    """How the label sets at 0.5 of the main group are wrong: classes missing, classes too many, or both."""
    labels, folds = study.recordings.labels, study.recordings.folds
    rows = []
    for arm in ("zero", "match", "paper", "half"):
        shares = []
        for rotation, sets in zip(ARMS[arm].rotations, study.predicted(arm, study.main_group), strict=True):
            true = labels[study.main_group & (folds == rotation)]
            missed, extra = np.any(true & ~sets, axis=2), np.any(sets & ~true, axis=2)
            kinds = [~missed & ~extra, missed & ~extra, extra & ~missed, missed & extra]
            shares.append(np.stack([*np.mean(kinds, axis=1), sets.sum(axis=2).mean(axis=0)]))  # [5, R]
        *of_kinds, number = np.concatenate(shares, axis=1).mean(axis=1)
        rows.append([arm, *(f"{100 * one:.1f} %" for one in of_kinds), f"{number:.2f}"])
    heads = ["Arm", "exact", "too few", "too many", "one missing, another too many", "Classes predicted, mean"]
    return table(heads, rows)


def described(study: Study) -> str:
    """What is described only: the last epoch, the spread of seeds, pairs of classes."""
    rows = []
    for endpoint in ENDPOINTS:
        one = study.difference("zero", "zero", endpoint, study.main_group, "last", than="best")
        rows.append([f"zero: last − best epoch, {endpoint}", _points(one.points, one.interval)])
        for arm in ("zero", "match"):
            of_seeds = np.mean([one.mean(axis=1) for one in study.outcomes(arm, endpoint, study.main_group)], axis=0)
            listed = ", ".join(f"{100 * one:.1f}" for one in of_seeds)
            rows.append([f"{arm}: the seeds, {endpoint}", f"{listed} %"])
    names = np.array(CPSC2018.classes)
    sets = np.array(["+".join(names[row]) for row in study.recordings.labels])
    pairs, numbers = np.unique(sets[study.main_group], return_counts=True)
    for at in np.argsort(-numbers, kind="stable")[:6]:
        one = study.difference("match", "zero", "exact", sets == pairs[at])
        shares = f"{one.before:.1f}, {one.after:.1f} %: {_points(one.points, one.interval)}"
        rows.append([f"{pairs[at]} ({numbers[at]}), exact: zero, match", shares])
    return table(["What", "Result"], rows)


def power_table(study: Study) -> str:
    """How often effects of several sizes would be found."""
    rows = []
    for endpoint in ENDPOINTS:
        arms = (study.outcomes(arm, endpoint, study.main_group) for arm in ("zero", "paper", "match"))
        runs = [np.concatenate(one) for one in zip(*arms, strict=True)]
        rows.append([endpoint, *(f"{100 * power(runs, points):.0f} %" for points in (0.0, 1.0, 2.0, 3.0, 5.0))])
    return table(["Endpoint", "no effect", "1 point", "2 points", "3 points", "5 points"], rows)


def why_table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """What `why` saw after the first epoch, in the middle and at the end."""
    rows = []
    for arm in WHY_ARMS:
        gamma, epochs = arm_config(arm).objective.gamma, found[arm]
        for at in sorted({0, len(epochs) // 2, len(epochs) - 1}):
            one = epochs[at]
            shares = [f"{term_share(one, gamma, part):.1f} %" for part in ("loss", "backbone", "attention_branch")]
            maps = [f"{map_distance(one):.2f}", f"{100 * one['level']:.0f} %", f"{one['within']:.3f}"]
            rows.append([f"{gamma:g}", str(at + 1), *shares, *maps])
    heads = ["γ", "Epoch", "Share of the loss", "… of the gradient, backbone", "… attention branch"]
    return table([*heads, "Distance of the maps", "… that is level", "Attention's spread within a recording"], rows)


def term_share(epoch: Mapping[str, float], gamma: float, part: str) -> float:
    """Returns what the term has of the loss, or of the gradient's norm in a part of the network, in percent."""
    term = gamma * epoch[f"term_{part}"]
    return 100 * term / (term + epoch[f"classification_{part}"])


def map_distance(epoch: Mapping[str, float]) -> float:
    """Returns the mean L2 distance between attention map and reference map; the term has it once for each head."""
    return epoch["term_loss"] / 2


def simulated_table() -> str:
    """The match against γ = 0 on simulated recordings with two classes."""
    read = {arm: [read_result(result_file(arm, seed))[0] for seed in SEEDS] for arm in SIMULATED_ARMS}
    labels = unpack_sets(read["zero"][0]["labels"], len(CPSC2018.classes))
    rows = []
    for endpoint in ENDPOINTS:
        after, before = (
            np.stack([right_sets(arrays, endpoint, labels, "best") for arrays in read[arm]])
            for arm in ("match", "zero")
        )
        one = compare_outcomes([after], [before], [np.arange(len(labels))])
        _, over_seeds, _ = compare_scores(100 * after.mean(axis=1), 100 * before.mean(axis=1))
        shares = [f"{share:.1f} %" for share in (one.before, one.after)]
        verdict = conclude(one)
        rows.append([endpoint, *shares, _points(one.points, one.interval), _points(None, over_seeds), verdict])
    return table(["Endpoint", "γ = 0", "match", "Difference [95 %]", "t over seeds [95 %]", "So"], rows)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _cells(one: Difference) -> list[str]:
    shares = [f"{share:.1f} %" for share in (one.before, one.after)]
    return [*shares, _points(one.points, one.interval), _points(None, one.t_interval), f"{one.odds_ratio:.2f}"]


def _points(points: float | None, interval: tuple[float, float]) -> str:
    limits = "[{:+.1f}, {:+.1f}]".format(*interval)
    return (limits if points is None else f"{points:+.1f} {limits}").replace("-", "−")
