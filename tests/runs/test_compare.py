"""What keeps two runs from being compared."""

import re

import numpy as np
import pytest

from xecgnet_jax.runs.compare import describe_mismatch

IDS = ["A1", "A2", "A3", "A4", "A5"]
LABELS = np.eye(5, dtype=np.uint8)


@pytest.mark.parametrize(
    ("ids", "labels", "words"),
    [
        ([*IDS[:3], "B4", "B5"], LABELS, r"2 recordings \(A4, A5\) in the first run only, 2 recordings \(B4, B5\) in"),
        (IDS[:4], LABELS[:4], r"1 recording \(A5\) in the first run only, 0 recordings in the second"),
        ([], LABELS[:0], r"5 recordings \(A1, A2, A3, …\) in the first"),
        (["A1", "A3", "A2", "A4", "A5"], LABELS, "another order, or some twice, from A2 on"),
        ([*IDS, "A1"], LABELS, "another order, or some twice"),
        (IDS, LABELS[:, :4], r"shapes, \(5, 5\) and \(5, 4\)"),
        (IDS, np.vstack([LABELS[:4], LABELS[:1]]), r"different labels for 1 recording \(A5\)"),
    ],
)
def test_other_recordings_are_refused_by_name(ids, labels, words):
    assert re.search(words, describe_mismatch(IDS, LABELS, ids, labels))


def test_the_same_recordings_pass():
    assert describe_mismatch(IDS, LABELS, tuple(IDS), LABELS.copy()) is None
