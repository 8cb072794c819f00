"""Finished runs → differences between arms with intervals, as docs/claim.md says. Pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from xecgnet_jax.evaluation.intervals import resample_counts, resampling_units

RESAMPLES = 10_000
#: Points within which two arms are called equivalent.
MARGIN = 3.0


class Difference(NamedTuple):
    """A difference between two arms, in points.

    Attributes:
      points: mean over recordings, and over seeds.
      interval: 95 %, by resampling patients within rotations, and seeds.
      narrow: 90 %, which two one-sided tests at 0.05 look at.
      p: two-sided, of the same resamples.
      t_interval, t_p: of the rotations' differences.
      before, after: the shares of both arms, in percent.
      discordant: share of the pairs of outcomes that differ, in percent.
    """

    points: float
    interval: tuple[float, float]
    narrow: tuple[float, float]
    p: float
    t_interval: tuple[float, float]
    t_p: float
    before: float
    after: float
    discordant: float

    @property
    def equivalent(self) -> bool:
        """Both one-sided tests reject a difference of the margin or more."""
        return self.narrow[0] > -MARGIN and self.narrow[1] < MARGIN

    @property
    def odds_ratio(self) -> float:
        """Odds of the later arm by those of the earlier."""
        return self.after / (100 - self.after) / (self.before / (100 - self.before))


def compare_outcomes(
    after: Sequence[np.ndarray], before: Sequence[np.ndarray], patients: Sequence[np.ndarray], seed: int = 0
) -> Difference:
    """Returns the difference of two arms' outcomes.

    Args:
      after, before: of each rotation [S, R] bool: right or not, by seed and recording. Seeds of one number belong
        together.
      patients: of each rotation [R].
      seed: of the resamples.
    """
    pairs = [(np.asarray(a, float), np.asarray(b, float)) for a, b in zip(after, before, strict=True)]
    changes = [100 * (a - b) for a, b in pairs]
    resampled = _resample(changes, patients, seed)
    low, high, *narrow = (float(limit) for limit in np.quantile(resampled, [0.025, 0.975, 0.05, 0.95]))
    beyond = min(np.sum(resampled <= 0), np.sum(resampled >= 0))
    t_interval, t_p = _t_test([change.mean() for change in changes])
    shares = [100 * np.concatenate([one.mean(axis=0) for one in arm]).mean() for arm in zip(*pairs, strict=True)]
    return Difference(
        points=float(np.concatenate([change.mean(axis=0) for change in changes]).mean()),
        interval=(low, high),
        narrow=(narrow[0], narrow[1]),
        p=min(1.0, 2 * (float(beyond) + 1) / (len(resampled) + 1)),
        t_interval=t_interval,
        t_p=t_p,
        after=float(shares[0]),
        before=float(shares[1]),
        discordant=100 * float(np.mean(np.concatenate([(change != 0).ravel() for change in changes]))),
    )


def _resample(changes: Sequence[np.ndarray], patients: Sequence[np.ndarray], seed: int) -> np.ndarray:
    """Returns the means [B] of resampled changes [S, R] of each rotation: patients and seeds drawn within it."""
    total, number = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    rng = np.random.default_rng(seed)
    for rotation, (change, who) in enumerate(zip(changes, patients, strict=True)):
        seeds = len(change)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
        units = resampling_units(len(who), [str(one) for one in who])
        counts = np.concatenate(list(resample_counts(units, RESAMPLES, seed + 1 + rotation)))
        total += np.sum((counts @ change.T) * drawn, axis=1)
        number += counts.sum(axis=1)
    return total / number


def compare_scores(after: np.ndarray, before: np.ndarray) -> tuple[float, tuple[float, float], float]:
    """Returns the mean difference of scores [rotations] of two arms, its 95 % t interval, and p."""
    change = np.asarray(after) - np.asarray(before)
    return float(change.mean()), *_t_test(change)


def _t_test(changes: Sequence[float] | np.ndarray) -> tuple[tuple[float, float], float]:
    """Returns the 95 % t interval of the mean change and its two-sided p; changes that are all alike have no spread."""
    if np.ptp(changes) == 0:
        return (float(changes[0]), float(changes[0])), float(changes[0] == 0)
    t = stats.ttest_1samp(changes, 0.0)
    low, high = t.confidence_interval(0.95)
    return (float(low), float(high)), float(t.pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Returns p values corrected for their number (Holm, Scandinavian Journal of Statistics 6:65, 1979)."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate([(len(p) - rank) * p[at] for rank, at in enumerate(order)])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(one) for one in corrected]


def conclude(difference: Difference) -> str:
    """Returns what the plan's table says of a difference."""
    excludes = not difference.interval[0] <= 0 <= difference.interval[1]
    if difference.equivalent:
        return "an effect, too small to matter" if excludes else "no effect that matters"
    return "an effect" if excludes else "undecided"


def power(runs: Sequence[np.ndarray], points: float, *, seeds: int = 3, simulations: int = 400, seed: int = 0) -> float:
    """Returns how often an effect of so many points would be found, by the t test over rotations at 0.05.

    Each simulation draws the recordings of each rotation anew, and two arms of `seeds` runs from its runs ([N, R] bool,
    of arms that hardly differ; none is in both, so that they are as discordant as runs are). Then it turns as many
    random misses of the second arm into hits as the effect asks for.
    """
    rng = np.random.default_rng(seed)
    found = 0
    for _ in range(simulations):
        changes = []
        for one in runs:
            drawn = rng.permutation(len(one))[: 2 * seeds]
            first, second = np.split(one[drawn][:, rng.integers(one.shape[1], size=one.shape[1])], 2)
            share = points / 100 / max(1e-9, 1 - float(np.mean(second)))
            lifted = second | (rng.random(second.shape) < share)
            changes.append(np.mean(lifted.astype(float) - first))
        found += _t_test(changes)[1] < 0.05
    return found / simulations
