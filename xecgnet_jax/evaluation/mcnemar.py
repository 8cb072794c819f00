"""McNemar's exact test: is one of two runs exact where the other is not, more often than the reverse?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xecgnet_jax.evaluation.intervals import LEVEL


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
