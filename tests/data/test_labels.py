"""Vocabularies: what codes mean, alone and together; those of this package and those of files."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xecgnet_jax.data.labels import (
    CLASSES,
    CPSC2018,
    CPSC_INTEGERS,
    SCP_ECG,
    SNOMED_CT,
    VOCABULARIES,
    count_codes,
    read_vocabulary,
    vocabulary_from_json,
)
from xecgnet_jax.errors import ConfigError

(SINUS_RHYTHM,) = CPSC2018.alone
VOCABULARY = CPSC2018.class_of
classes_of, label_vector, unmapped_codes = CPSC2018.classes_of, CPSC2018.label_vector, CPSC2018.unmapped_codes
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


@pytest.mark.parametrize("code", ["", "0", "10", "5.5", ".0", "IRBBB", "ILBBB", "713426002", "a f", "SR"])
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
    assert {name for code in set(codes) - left for name in classes_of([code])} == classes_of(codes)
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


#: Vocabulary → number of classes, and the column of PTB-XL's scp_statements.csv that decides.
PTBXL = {
    "ptbxl-superdiagnostic": (5, "diagnostic", "diagnostic_class"),
    "ptbxl-subdiagnostic": (23, "diagnostic", "diagnostic_subclass"),
    "ptbxl-diagnostic": (44, "diagnostic", ""),
    "ptbxl-form": (19, "form", ""),
    "ptbxl-rhythm": (12, "rhythm", ""),
    "ptbxl-all": (71, "", ""),
}


def test_the_vocabularies_of_this_package():
    assert set(VOCABULARIES) == {"cpsc2018", *PTBXL}
    for name, (number, *_) in PTBXL.items():
        vocabulary = read_vocabulary(name)
        assert vocabulary.name == name and len(vocabulary.classes) == number
        assert list(vocabulary.classes) == sorted(vocabulary.classes)


@pytest.mark.parametrize("name", PTBXL)
def test_ptbxls_are_those_of_its_own_table(name, shared):
    """Four statements are both diagnostic and form."""
    _, kind, column = PTBXL[name]
    with (shared / "data/ptbxl/scp_statements.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not kind or row[kind] == "1.0"]
    assert read_vocabulary(name).class_of == {row[""]: row[column] for row in rows}


def test_superclasses_join_codes():
    super_classes = read_vocabulary("ptbxl-superdiagnostic")
    assert super_classes.classes_of(["IMI", "AMI", "NDT", "SR"]) == {"MI", "STTC"}
    assert super_classes.label_vector(["IMI", "AMI", "NDT", "SR"]).tolist() == [0, 0, 1, 0, 1]
    assert super_classes.unmapped_codes(["SR", "IMI"]) == ("SR",)


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_checkpoint_can_hold_it(name):
    vocabulary = read_vocabulary(name)
    again = vocabulary_from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary and again.digest() == vocabulary.digest()
    assert len({read_vocabulary(other).digest() for other in VOCABULARIES}) == len(VOCABULARIES)


def test_one_of_a_file(tmp_path):
    lines = ("class,code,system", "flutter,AFLT,scp_ecg", "block,1AVB,", "flutter,164890007,snomed")
    (tmp_path / "mine.csv").write_text("\n".join(lines))
    (tmp_path / "mine.toml").write_text(
        '[classes]\nflutter = {scp_ecg = ["AFLT"], snomed = ["164890007"]}\nblock = {code = ["1AVB"]}\n'
    )
    one, other = (read_vocabulary(str(tmp_path / name)) for name in ("mine.csv", "mine.toml"))
    assert one.classes == ("flutter", "block") and one.class_of == other.class_of
    assert one.digest() == other.digest() and one.name == "mine"
    assert one.label_vector(["164890007", "SR"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "klass,code\na,1\n", "must name the columns class and code"),
        ("a.csv", "class,code\na,1\nb,\n", "line 3 has no class or no code"),
        ("a.csv", "class,code\na,1\n", "two classes or more"),
        ("a.csv", "class,code\na,1\nb,1\n", "the code '1' stands for"),
        ("a.csv", 'class,code\n"a;b",1\nb,2\n', "has no possible name"),
        ("a.toml", "classes = 3", "two classes or more"),
        ("a.toml", "[classes]\na = 3\nb = 4", "the class a needs lists of codes"),
        ("a.toml", 'alone = ["9"]\n[classes]\na = {x = ["1"]}\nb = {x = ["2"]}', "`alone` must list codes"),
        ("a.toml", 'alone = [["1"]]\n[classes]\na = {x = ["1"]}\nb = {x = ["2"]}', "`alone` must list codes"),
        ("a.toml", "[classes", "see docs/data.md"),
    ],
)
def test_a_file_that_is_none_is_refused_by_name(tmp_path, name, text, problem):
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_vocabulary(str(tmp_path / name))
    assert problem in str(caught.value) and name in str(caught.value)


def test_a_file_that_was_corrected_is_read_again(tmp_path):
    (tmp_path / "a.csv").write_text("class,code\none,1\ntwo,2\n")
    assert read_vocabulary(str(tmp_path / "a.csv")).classes == ("one", "two")
    (tmp_path / "a.csv").write_text("class,code\none,1\nthree,3\n")
    assert read_vocabulary(str(tmp_path / "a.csv")).classes == ("one", "three")


def test_codes_that_end_like_decimals_are_codes_of_their_own(tmp_path):
    """ICD-10 has I44.0; only whole numbers get a .0 from spreadsheets."""
    (tmp_path / "icd.csv").write_text("class,code\nblock,I44.0\nother,I44\nAF,I48\nnumber,2\n")
    icd = read_vocabulary(str(tmp_path / "icd.csv"))
    assert [icd.classes_of([code]) for code in ("I44.0", "i44.0", "i44", "2.0")] == [
        {"block"}, {"block"}, {"other"}, {"number"},
    ]  # fmt: skip
    assert icd.unmapped_codes(["I48.0"]) == ("I48.0",)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"classes nine: No such file.*possible: cpsc2018, ptbxl-all"):
        read_vocabulary("nine")
