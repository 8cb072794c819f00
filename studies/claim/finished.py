"""What the finished runs predicted: outcomes, scores and differences of arms."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from studies.claim.analysis import Difference, compare_outcomes
from studies.claim.study import (
    ARMS,
    CPSC2018_SETS,
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

    def predicted(self, arm: str, rows: np.ndarray) -> list[np.ndarray]:
        """Returns of each rotation of an arm [S, R, C] bool: the label sets at 0.5 of those of these recordings."""
        classes = self.recordings.labels.shape[1]
        return [
            unpack_sets(np.stack([one["sets"][0] for one in self.arrays(arm, rotation)]), classes)[
                :, rows[self.recordings.folds == rotation]
            ]
            for rotation in ARMS[arm].rotations
        ]

    def _right(self, arrays: dict[str, np.ndarray], endpoint: str, rotation: int, variant: str) -> np.ndarray:
        return right_sets(arrays, endpoint, self.recordings.labels[self.recordings.folds == rotation], variant)

    def difference(
        self, after: str, before: str, endpoint: str, rows: np.ndarray, variant: str = "best", than: str = ""
    ) -> Difference:
        """Returns the difference of two arms on those recordings; seeds that only one of them has do not count."""
        rotations, seeds = ARMS[after].rotations, min(ARMS[after].seeds, ARMS[before].seeds)
        first = self.outcomes(after, endpoint, rows, variant)
        second = self.outcomes(before, endpoint, rows, than or variant)
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


def right_sets(arrays: dict[str, np.ndarray], endpoint: str, labels: np.ndarray, variant: str) -> np.ndarray:
    """Returns which of R recordings with these labels [R, C] a run has right, [R] bool."""
    at = VARIANTS.index(variant)
    if endpoint == "ranked":
        return arrays["ranked"][at]
    return np.all(unpack_sets(arrays["sets"][at], labels.shape[1]) == labels, axis=1)
