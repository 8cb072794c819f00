"""The table of true against predicted label sets."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xecgnet_jax.evaluation.label_sets import OUTCOMES, label_sets

CLASSES = ("AF", "PAC", "RBBB", "STD")


def rows(*sets):
    """ "AF+RBBB" → a row of labels."""
    return np.array([[name in one.split("+") for name in CLASSES] for one in sets], np.uint8).reshape(-1, 4)


def test_a_small_case_by_hand():
    true = rows("AF+RBBB", "AF+RBBB", "AF+RBBB", "AF+RBBB", "PAC+RBBB+STD", "AF", "", "AF+PAC")
    found = rows("AF+RBBB", "RBBB", "RBBB+STD", "AF+RBBB+STD", "AF", "RBBB", "AF", "AF+PAC")
    table = label_sets(true, found, CLASSES)
    assert table["recordings"] == 6
    assert table["outcomes"] == {"exact": 2, "all_and_more": 1, "part": 2, "none": 1}
    assert [entry["true"] for entry in table["sets"]] == [["AF", "RBBB"], ["AF", "PAC"], ["PAC", "RBBB", "STD"]]
    assert table["sets"][0] == {
        "true": ["AF", "RBBB"],
        "recordings": 4,
        "exact": 1,
        "missed": {"AF": 2, "RBBB": 0},
        "extra": {"STD": 2},
        "predicted": [
            {"classes": ["AF", "RBBB", "STD"], "recordings": 1},
            {"classes": ["AF", "RBBB"], "recordings": 1},
            {"classes": ["RBBB", "STD"], "recordings": 1},
            {"classes": ["RBBB"], "recordings": 1},
        ],
    }
    assert table["sets"][2]["missed"] == {"PAC": 1, "RBBB": 1, "STD": 1}
    assert table["sets"][2]["extra"] == {"AF": 1}


@settings(deadline=None)
@given(
    st.integers(0, 25).flatmap(lambda n: st.tuples(*[arrays(np.uint8, (n, 4), elements=st.sampled_from([0, 1]))] * 2))
)
def test_everything_is_counted_once(case):
    true, found = case
    table = label_sets(true, found, CLASSES)
    assert json.loads(json.dumps(table)) == table
    several = [
        (set(np.flatnonzero(t)), set(np.flatnonzero(f))) for t, f in zip(true, found, strict=True) if t.sum() > 1
    ]
    assert table["recordings"] == len(several) == sum(table["outcomes"].values())
    assert list(table["outcomes"]) == list(OUTCOMES)
    assert table["outcomes"]["exact"] == sum(t == f for t, f in several) == sum(e["exact"] for e in table["sets"])
    assert table["outcomes"]["all_and_more"] == sum(t < f for t, f in several)
    assert table["outcomes"]["none"] == sum(not t & f for t, f in several)
    assert sorted((e["recordings"] for e in table["sets"]), reverse=True) == [e["recordings"] for e in table["sets"]]
    for entry in table["sets"]:
        members = {CLASSES.index(name) for name in entry["true"]}
        own = [f for t, f in several if t == members]
        assert entry["recordings"] == len(own) == sum(one["recordings"] for one in entry["predicted"])
        for c, name in enumerate(CLASSES):
            if c in members:
                assert entry["missed"][name] == sum(c not in f for f in own)
            else:
                assert entry["extra"].get(name, 0) == sum(c in f for f in own)
        for one in entry["predicted"]:
            assert one["recordings"] == sum(f == {CLASSES.index(name) for name in one["classes"]} for f in own)


def test_shapes_must_fit_the_classes():
    with pytest.raises(ValueError, match=r"must all be \[R, 3\]"):
        label_sets(rows("AF"), rows("AF"), CLASSES[:3])
