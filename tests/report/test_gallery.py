"""Which recordings are listed and drawn, and in which order."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.report.examples import EVIL, beats, example, noise
from xecgnet_jax.report.gallery import display_order, gallery, picture_order, script_json

SETS = st.integers(0, 40).flatmap(lambda n: st.tuples(*[hnp.arrays(bool, (n, 4))] * 2))


def group_of(truth, found) -> int:
    wrong, several = bool((truth != found).any()), truth.sum() > 1
    return (0 if wrong else 1) if several else (2 if wrong else 3)


@settings(deadline=None)
@given(SETS)
def test_wrong_ones_and_those_with_several_classes_come_first(sets):
    truths, found = sets
    order = picture_order(truths, found)
    assert sorted(order) == list(range(len(truths)))
    groups = [group_of(truths[at], found[at]) for at in order]
    assert groups == sorted(groups)
    assert order == picture_order(truths, found)


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(0, 40))
def test_each_class_has_its_turn(classes, number):
    """Right recordings of one class each: of the first n, no class has two more than another that has some left."""
    truths = np.eye(4, dtype=bool)[classes].reshape(-1, 4)
    total = np.bincount(classes, minlength=4)
    first = np.bincount([classes[at] for at in picture_order(truths, truths)[:number]], minlength=4)
    left = first < total
    assert not left.any() or first.max() <= first[left].min() + 1


def test_a_recording_counts_for_its_rarest_class():
    truths = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 1], [1, 1]], bool)
    # Both last ones count for class 1, so neither waits for the other's class.
    assert picture_order(truths, truths) == [4, 5, 0, 3, 1, 2]


def test_they_are_listed_with_the_wrong_ones_first():
    contents = example(40)
    pictured = {1, 2, 3, 5, 8, 13, 21, 34}
    order = display_order(contents, range(40), pictured)
    wrong = (contents.truths != contents.predictions).any(axis=1)
    keys = [(not wrong[at], at not in pictured, -int(contents.labels[at].sum()), contents.ids[at]) for at in order]
    assert keys == sorted(keys)
    assert display_order(contents, [3, 1], pictured) == [at for at in order if at in (1, 3)]


def title_of(picture: str) -> str:
    title = fromstring(zlib.decompress(base64.b64decode(picture))).findtext("{http://www.w3.org/2000/svg}title")
    assert title is not None
    return title


@pytest.mark.parametrize("size", [20_000, 60_000, 200_000])
@pytest.mark.parametrize("signal", [beats, noise])
def test_it_keeps_within_its_size(size, signal):
    contents = example(80, signal=signal, maps=None)
    found, listed_count, pictured_count = gallery(contents, size)
    data = json.loads(found)
    assert len(found) <= size
    assert (listed_count, pictured_count) == (len(data["recordings"]), len(data["pictures"]))
    titles = {at: title_of(picture) for at, picture in data["pictures"].items()}
    assert titles == {at: data["recordings"][int(at)][0] for at in titles}
    if signal is beats:
        typical = len(next(iter(data["pictures"].values())))
        assert pictured_count == 80 or len(found) > size - 2 * typical


def test_twenty_thousand_recordings_are_listed_as_far_as_there_is_room():
    few = example(40)
    ids = [f"corpus/with/long/names/{position:08d}" for position in range(20_000)]
    labels, probabilities = (np.tile(array, (500, 1)) for array in (few.labels, few.probabilities))
    many = dataclasses.replace(few, ids=ids, labels=labels, probabilities=probabilities, signal=noise, maps=None)
    size = 1_200_000
    found, listed_count, _ = gallery(many, size)
    assert len(found) <= size
    assert 2_000 < listed_count < 20_000
    listed = {row[0] for row in json.loads(found)["recordings"]}
    assert listed == {ids[at] for at in picture_order(many.truths, many.predictions)[:listed_count]}


def test_probabilities_are_told_apart_from_thresholds():
    contents = example(4)
    contents.probabilities[:] = 0.499996
    contents.probabilities[:, 1] = 0.123456
    rows = json.loads(gallery(contents, 400_000)[0])["recordings"]
    assert {value for row in rows for value in row[3]} == {0.499996, 0.123}
    assert all(row[2] == [] for row in rows)


def test_json_ends_no_script():
    text = script_json([EVIL, "</script>", "<!--", "\u2028"])
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == [EVIL, "</script>", "<!--", "\u2028"]
