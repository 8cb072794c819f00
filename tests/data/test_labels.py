"""The vocabulary: what codes mean, alone and together."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xecgnet_jax.data.labels import (
    CLASSES,
    CPSC_INTEGERS,
    SCP_ECG,
    SINUS_RHYTHM,
    SNOMED_CT,
    VOCABULARY,
    classes_of,
    count_codes,
    label_vector,
    unmapped_codes,
)

TABLES = (CPSC_INTEGERS, dict(zip(CLASSES, CLASSES, strict=True)), SNOMED_CT, SCP_ECG)
any_codes = st.lists(st.sampled_from([*VOCABULARY, "164934002", "SR", "IRBBB", "10", "", "af"]), max_size=6)


def test_no_code_means_two_things():
    for one, other in combinations(TABLES, 2):
        for code in one.keys() & other.keys():
            assert one[code] == other[code]
    assert len(VOCABULARY) == len(set().union(*TABLES))


@pytest.mark.parametrize("table", TABLES)
def test_every_vocabulary_has_all_nine_classes(table):
    assert set(table.values()) == set(CLASSES)


def test_the_order_of_the_authors_code():
    assert list(CLASSES) == sorted(CLASSES)
    assert label_vector(["2"]).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert label_vector(["STE_", "CRBBB"]).tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 1]


@pytest.mark.parametrize("code", ["", "0", "10", "5.0", "IRBBB", "ILBBB", "713426002", "af", "norm", "SR"])
def test_other_codes_have_no_class(code):
    assert VOCABULARY.get(code) is None
    assert classes_of([code]) == frozenset()
    assert unmapped_codes([code]) == (code,)


def test_sinus_rhythm_is_normal_only_alone():
    assert classes_of([SINUS_RHYTHM]) == {"Normal"}
    assert classes_of([SINUS_RHYTHM, SINUS_RHYTHM]) == {"Normal"}
    assert classes_of([SINUS_RHYTHM, "59118001"]) == {"RBBB"}
    assert classes_of(["251146004", SINUS_RHYTHM]) == frozenset()
    assert unmapped_codes(["251146004", SINUS_RHYTHM]) == ("251146004", SINUS_RHYTHM)


def test_ptbxl_may_be_normal_and_something_else():
    assert classes_of(["NORM", "PVC", "SR"]) == {"Normal", "PVC"}


@given(any_codes)
def test_every_code_is_kept_either_as_a_class_or_as_unmapped(codes):
    left = set(unmapped_codes(codes))
    assert left <= set(codes)
    assert {VOCABULARY.get(code) for code in set(codes) - left} == classes_of(codes)
    assert len(unmapped_codes(codes)) == len(left)


@given(any_codes)
def test_the_label_vector_is_the_set_of_classes(codes):
    labels = label_vector(codes)
    assert labels.dtype == np.uint8
    assert {name for name, present in zip(CLASSES, labels, strict=True) if present} == classes_of(codes)
    assert set(labels.tolist()) <= {0, 1}


@given(st.lists(any_codes, max_size=8))
def test_counts_are_of_recordings(recordings):
    classes, others = count_codes(recordings)
    assert tuple(classes) == CLASSES
    assert classes == {name: sum(name in classes_of(codes) for codes in recordings) for name in CLASSES}
    assert others == Counter(code for codes in recordings for code in unmapped_codes(codes))
    assert list(others.values()) == sorted(others.values(), reverse=True)
