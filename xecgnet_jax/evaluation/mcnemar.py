"""McNemar's exact test: is one side exact on recordings on which the other is not, more often than the reverse?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from xecgnet_jax.evaluation.intervals import LEVEL


def exact_p(only_one: int, only_other: int) -> float:
    """Two-sided p of the two discordant counts: a fair coin thrown for each; 1 without any.

    Q. McNemar, Psychometrika 12 (1947) 153–157, in its exact form.
    """
    discordant = int(only_one) + int(only_other)
    return float(stats.binomtest(int(only_one), discordant).pvalue) if discordant else 1.0


def mcnemar(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The test of two sides on the same recordings.

    Args:
      one, other: [R] bool, whether each side is exact.

    Returns:
      "recordings", and of them exact on "both", "only_one", "only_other", "neither"; "p", None without recordings.
    """
    one, other = np.asarray(one, bool), np.asarray(other, bool)
    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    return {
        "recordings": len(one),
        "both": int((one & other).sum()),
        "only_one": only_one,
        "only_other": only_other,
        "neither": int((~one & ~other).sum()),
        "p": exact_p(only_one, only_other) if len(one) else None,
    }


def possible_tables(one: int, other: int, recordings: int) -> list[tuple[int, int]]:
    """All discordant counts (only one, only other) of two sides that are exact on `one` and `other` of `recordings`."""
    both = range(max(0, one + other - recordings), min(one, other) + 1)
    return [(one - exact, other - exact) for exact in reversed(both)]


def least_difference(discordant: int) -> int:
    """The smallest difference of the discordant counts that the test can tell from chance.

    Where all `discordant` on one side would not do, as many as would: 6.
    """
    for total in range(discordant, discordant + 7):
        for more in range((total + 1) // 2, total + 1):
            if exact_p(more, total - more) < 1 - LEVEL:
                return 2 * more - total
    raise AssertionError("six more on one side are always enough")


def pairs(one: Sequence[int | None], other: Sequence[int | None]) -> list[tuple[int, int]]:
    """Which runs are tested against each other: positions in both sides.

    Args:
      one, other: the seed of each run of a side, None where unknown.

    Returns:
      Those of one seed where every side has each seed once and some in common; else the i-th with the i-th where there
      are equally many; else none.
    """
    known = all(None not in seeds and len(set(seeds)) == len(seeds) for seeds in (one, other))
    if known and (common := [seed for seed in one if seed in other]):
        return [(list(one).index(seed), list(other).index(seed)) for seed in common]
    return [(index, index) for index in range(len(one))] if len(one) == len(other) else []
