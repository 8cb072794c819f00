"""Makes every table and picture of docs/claim.md from the finished runs: python -m studies.claim.claim

Differences are told only once every run of the three main arms and of the positive control is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from studies.claim.analysis import MARGIN, Difference, compare_outcomes, compare_scores, conclude, holm, power
from studies.claim.figure import forest
from studies.claim.study import (
    ARMS,
    CPSC2018_SETS,
    HERE,
    VARIANTS,
    Recordings,
    StudyRun,
    planned,
    read_recordings,
    read_result,
    unpack_sets,
)
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.evaluation.metrics import label_set_metrics, ranking_metrics
from xecgnet_jax.files import write_text

PAGE = HERE.parents[1] / "docs" / "claim.md"
PICTURE = PAGE.with_name("claim.svg")
MAIN = ("zero", "paper", "match", "half")
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


class Study:
    """What the finished runs predicted.

    Attributes:
      runs: the finished ones.
    """

    def __init__(self) -> None:
        self.runs = [run for run in planned() if run.result.exists()]
        self._read = {run: read_result(run.result) for run in self.runs}

    @cached_property
    def recordings(self) -> Recordings:
        """Of all folds."""
        return read_recordings()

    def finished(self, arm: str) -> bool:
        """Whether all runs of an arm are there."""
        return sum(run.arm == arm for run in self.runs) == ARMS[arm].seeds * len(ARMS[arm].rotations)

    def about(self, arm: str) -> list[dict[str, Any]]:
        """Returns what is said about each run of an arm."""
        return [self._read[run][1] for run in self.runs if run.arm == arm]

    def arrays(self, arm: str, rotation: int) -> list[dict[str, np.ndarray]]:
        """Returns the arrays of an arm's seeds in a rotation."""
        return [self._read[StudyRun(rotation, arm, seed)][0] for seed in range(ARMS[arm].seeds)]

    def outcomes(self, arm: str, endpoint: str, rows: np.ndarray, variant: str = "best") -> list[np.ndarray]:
        """Returns of each rotation of an arm [S, R] bool: right or not, on those of these recordings (a mask)."""
        return [
            np.stack([self._right(one, endpoint, rotation, variant) for one in self.arrays(arm, rotation)])[
                :, rows[self.recordings.folds == rotation]
            ]
            for rotation in ARMS[arm].rotations
        ]

    def _right(self, arrays: dict[str, np.ndarray], endpoint: str, rotation: int, variant: str) -> np.ndarray:
        at = VARIANTS.index(variant)
        if endpoint == "ranked":
            return arrays["ranked"][at]
        labels = self.recordings.labels[self.recordings.folds == rotation]
        return np.all(unpack_sets(arrays["sets"][at], labels.shape[1]) == labels, axis=1)

    def difference(
        self, after: str, before: str, endpoint: str, rows: np.ndarray, variant: str = "best", than: str = ""
    ) -> Difference:
        """Returns the difference of two arms on those recordings; seeds that only one of them has do not count."""
        rotations, seeds = ARMS[after].rotations, min(ARMS[after].seeds, ARMS[before].seeds)
        first, second = (
            self.outcomes(after, endpoint, rows, variant),
            self.outcomes(before, endpoint, rows, than or variant),
        )
        patients = [self.recordings.patients[rows & (self.recordings.folds == rotation)] for rotation in rotations]
        return compare_outcomes([one[:seeds] for one in first], [one[:seeds] for one in second], patients)

    def scores(self, arm: str, name: str) -> np.ndarray:
        """Returns a metric of an arm's rotations, the mean of their seeds: micro_f1, macro_f1 or macro_auroc."""
        found = []
        for rotation in ARMS[arm].rotations:
            labels = self.recordings.labels[self.recordings.folds == rotation]
            of_seeds = []
            for arrays in self.arrays(arm, rotation):
                if name == "macro_auroc":
                    of_seeds.append(ranking_metrics(labels, arrays["ranks"])[name][0])
                else:
                    sets = unpack_sets(arrays["sets"][0], labels.shape[1])
                    of_seeds.append(label_set_metrics(labels, sets)[name][0])
            found.append(np.mean(of_seeds))
        return np.array(found)

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Name → which recordings: those of the primary endpoints first."""
        labels = self.recordings.labels
        several = labels.sum(axis=1) > 1
        names = np.array(CPSC2018.classes)
        known = np.array(["+".join(sorted(names[row])) in CPSC2018_SETS for row in labels])
        return {
            "several classes without Normal": several & ~labels[:, CPSC2018.classes.index("Normal")],
            "several classes": several,
            "several classes, as in CPSC2018": several & known,
            "one class": ~several,
        }

    @property
    def main_group(self) -> np.ndarray:
        """The recordings of the primary endpoints."""
        return next(iter(self.groups.values()))


def make_blocks(study: Study) -> dict[str, str]:
    """Returns name → the text between its marks in the page."""
    blocks = {"progress": progress(study)}
    if all(map(study.finished, MAIN)):
        blocks |= {"primary": primary(study), "groups": other_groups(study), "secondary": secondary(study)}
        blocks |= {"described": described(study), "power": power_table(study)}
    return blocks


def progress(study: Study) -> str:
    """Says how many runs are there, and how long they took."""
    rows = []
    for arm, plan in ARMS.items():
        about, number = study.about(arm), plan.seeds * len(plan.rotations)
        hours = sum(one["seconds"] for one in about) / 3600
        epochs = f"{np.mean([one['best_epoch'] for one in about]):.1f} of {len(about[0]['epochs'])}" if about else ""
        f1 = [max(epoch["validation_micro_f1"] for epoch in one["epochs"]) for one in about]
        rows.append([arm, f"{len(about)} of {number}", f"{hours:.1f}", epochs, f"{np.mean(f1):.3f}" if f1 else ""])
    total = sum(one["seconds"] for arm in ARMS for one in study.about(arm)) / 3600
    heads = ["Arm", "Runs", "Hours", "Best epoch, mean", "Validation micro F1, mean"]
    return f"{len(study.runs)} of {len(planned())} runs are finished; they took {total:.1f} hours.\n\n" + table(
        heads, rows
    )


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
        rows.append([name, f"{one.before:.1f}", f"{one.after:.1f}", _points(one.points, one.interval)])
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
            rows.append([name, f"{before.mean():.1f}", f"{after.mean():.1f}", _points(points, interval)])
            p.append(chance)
    for arm, (base, name) in OTHERS.items():
        if study.finished(arm) and study.finished(base):
            for endpoint in ENDPOINTS:
                add(f"{name}, {endpoint}", study.difference(arm, base, endpoint, study.main_group))
    for row, corrected in zip(rows, holm(p), strict=True):
        row.append(f"{corrected:.3f}")
    return table(["Comparison", "Before", "After", "Difference [95 %]", "p (Holm)"], rows)


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
        group = sets == pairs[at]
        cells = []
        for arm in ("zero", "match"):
            right = np.concatenate([one.mean(axis=0) for one in study.outcomes(arm, "exact", group)])
            cells.append(f"{100 * right.mean():.1f}")
        rows.append([f"{pairs[at]} ({numbers[at]}), exact: zero, match", ", ".join(cells) + " %"])
    return table(["What", "Result"], rows)


def power_table(study: Study) -> str:
    """How often effects of several sizes would be found."""
    rows = []
    for endpoint in ENDPOINTS:
        base = study.outcomes("zero", endpoint, study.main_group)
        rows.append([endpoint, *(f"{100 * power(base, points):.0f} %" for points in (0.0, 1.0, 2.0, 3.0, 5.0))])
    return table(["Endpoint", "no effect", "1 point", "2 points", "3 points", "5 points"], rows)


def draw(study: Study) -> str | None:
    """Returns the forest plot as SVG; None before the main arms are finished."""
    if not all(map(study.finished, MAIN)):
        return None
    lines: list[tuple[str, float, tuple[float, float]]] = [("the paper: γ = 0.01 − 0, exact", 8.8, (-2.9, 20.2))]
    for arm, name in (("match", "match − γ = 0"), ("paper", "γ = 0.01 − 0"), ("half", "control: half of the data")):
        for endpoint in ENDPOINTS:
            one = study.difference(arm, "zero", endpoint, study.main_group)
            lines.append((f"{name}, {endpoint}", one.points, one.interval))
    for arm, (base, name) in OTHERS.items():
        if study.finished(arm) and study.finished(base):
            one = study.difference(arm, base, "exact", study.main_group)
            lines.append((f"{name}, exact", one.points, one.interval))
    return forest(lines, MARGIN)


def fill_in(page: str, blocks: dict[str, str]) -> str:
    """Returns the page with the blocks between their marks: <!-- NAME --> … <!-- end NAME -->."""
    for name, block in blocks.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        page, number = marked.subn(partial(_between, block), page)
        if number != 1:
            raise SystemExit(f"{PAGE}: the marks of {name} are there {number} times, not once")
    return page


def _between(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{text}\n{marks[2]}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def _cells(one: Difference) -> list[str]:
    shares = [f"{share:.1f} %" for share in (one.before, one.after)]
    return [*shares, _points(one.points, one.interval), _points(None, one.t_interval), f"{one.odds_ratio:.2f}"]


def _points(points: float | None, interval: tuple[float, float]) -> str:
    limits = "[{:+.1f}, {:+.1f}]".format(*interval)
    return (limits if points is None else f"{points:+.1f} {limits}").replace("-", "−")


def main() -> None:
    """Writes the blocks into the page, and the picture beside it."""
    study = Study()
    write_text(PAGE, fill_in(PAGE.read_text(encoding="utf-8"), make_blocks(study)))
    if picture := draw(study):
        write_text(PICTURE, picture)
    print(f"{PAGE}: {len(study.runs)} of {len(planned())} runs")


if __name__ == "__main__":
    main()
