"""What keeps two runs from being compared."""

import re

import pytest

from xecgnet_jax.runs.compare import describe_mismatch

IDS = ["A1", "A2", "A3", "A4", "A5"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ([*IDS[:3], "B4", "B5"], r"2 recordings \(A4, A5\) in the first run only, 2 recordings \(B4, B5\) in"),
        (IDS[:4], r"1 recording \(A5\) in the first run only, 0 recordings in the second"),
        ([], r"5 recordings \(A1, A2, A3, …\) in the first"),
        (["A1", "A3", "A2", "A4", "A5"], "another order, or some twice, from A2 on"),
    ],
)
def test_other_recordings_are_refused_by_name(ids, words):
    assert re.search(words, describe_mismatch(IDS, ids))


def test_the_same_recordings_pass():
    assert describe_mismatch(IDS, tuple(IDS)) is None
