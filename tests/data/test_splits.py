"""The paper's split, stratified folds, folds of a corpus, split files, and what each refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xecgnet_jax.data.labels import CLASSES, CPSC_INTEGERS
from xecgnet_jax.data.splits import (
    Split,
    check_split,
    fold_split,
    paper_split,
    read_split,
    stratified_folds,
    stratified_split,
    write_split,
)
from xecgnet_jax.errors import SplitError

SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")

CPSC2018 = [f"A{number:04d}" for number in range(1, 6878)]


def reference_classes() -> dict[str, set[str]]:
    """Id → class names, of CPSC2018's REFERENCE.csv."""
    with (SHARED / "data/cpsc2018/REFERENCE.csv").open(newline="", encoding="utf-8-sig") as file:
        header, *rows = csv.reader(file)
    assert header[0] == "Recording"
    return {row[0]: {CPSC_INTEGERS[code] for code in row[1:] if code} for row in rows}


# ---- the paper's split


def test_paper_split_has_the_published_sizes_and_first_names() -> None:
    split = paper_split(CPSC2018)
    assert (len(split.train), len(split.validation), len(split.test)) == (5225, 276, 1376)
    assert split.train[:3] == ("A2355", "A3446", "A1814")
    assert split.validation[:3] == ("A5949", "A0268", "A0938")
    assert split.test[:3] == ("A0349", "A3947", "A3900")


def test_paper_split_follows_from_two_permutations_of_numpy() -> None:
    """scikit-learn takes the test part from the front of a seeded permutation, the training part after it."""
    names = np.array(CPSC2018)
    first = names[np.random.RandomState(1004).permutation(6877)]
    rest = first[1376 : 1376 + 5501]
    second = rest[np.random.RandomState(1004).permutation(5501)]
    expected = Split(train=tuple(second[276:]), validation=tuple(second[:276]), test=tuple(first[:1376]))
    assert paper_split(reversed(CPSC2018)) == expected


@needs_shared
def test_paper_split_has_the_published_class_counts() -> None:
    classes = reference_classes()
    split = paper_split(classes)
    several = [sum(len(classes[name]) > 1 for name in side) for side in (split.train, split.validation, split.test)]
    assert several == [366, 19, 91]
    counts = {name: sum(name in classes[recording] for recording in split.test) for name in CLASSES}
    published = {"Normal": 183, "AF": 253, "I-AVB": 163, "LBBB": 52, "RBBB": 361}
    assert counts == published | {"PAC": 120, "PVC": 132, "STD": 164, "STE": 40}


@given(st.integers(3, 200))
def test_paper_split_of_any_corpus_puts_every_recording_on_one_side(count: int) -> None:
    split = paper_split(CPSC2018[:count])
    assert sorted(split.train + split.validation + split.test) == CPSC2018[:count]
    assert all((split.train, split.validation, split.test))


def test_paper_split_refuses_repeated_and_too_few_ids() -> None:
    with pytest.raises(SplitError, match="more than once: A0002"):
        paper_split(["A0001", "A0002", "A0002", "A0003"])
    with pytest.raises(SplitError, match="at least 3"):
        paper_split(["A0001", "A0002"])


# ---- folds of a corpus


def test_fold_split_gives_several_folds_to_a_side_and_leaves_out_the_rest() -> None:
    split = fold_split("abcdefg", [1, 2, 3, 4, 1, -1, 5], train=[1, 2], validation=[3], test=[4])
    assert split == Split(train=("a", "b", "e"), validation=("c",), test=("d",))


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"train": [1, 2], "validation": [2], "test": [3]}, "fold 2 is in more than one part"),
        ({"train": [1], "validation": [], "test": [3]}, "no recording is in the validation part"),
        ({"train": [1], "validation": [2], "test": [9, 10]}, "fold 9, 10; the corpus has the folds 1, 2, 3"),
    ],
)
def test_fold_split_refuses(sides: dict[str, list[int]], message: str) -> None:
    with pytest.raises(SplitError, match=message):
        fold_split("abc", [1, 2, 3], **sides)


def test_fold_split_refuses_a_corpus_without_folds() -> None:
    with pytest.raises(SplitError, match="the corpus has no folds"):
        fold_split("abc", [None, None, None], train=[1], validation=[2], test=[3])


def test_fold_split_refuses_a_patient_on_two_sides() -> None:
    with pytest.raises(SplitError, match=r"1 patients .* p \(the first in train and test\)"):
        fold_split("abc", [1, 2, 3], train=[1], validation=[2], test=[3], patients=["p", None, "p"])


# ---- stratified folds


@st.composite
def corpora(draw: st.DrawFn) -> tuple[list[str], np.ndarray, list[str | None]]:
    """Ids, labels and patients of a few recordings, some without a label and some without a patient."""
    count = draw(st.integers(12, 60))
    ids = [f"R{number}" for number in range(count)]
    labels = np.array(draw(st.lists(st.integers(0, 7), min_size=count, max_size=count)))
    # Twelve recordings without a patient, so that there are always enough patients for the folds.
    known = draw(st.lists(st.sampled_from(["p", "q", "r", "R1"]) | st.none(), min_size=count - 12, max_size=count - 12))
    return ids, (labels[:, None] >> np.arange(3)) & 1, [*known, *[None] * 12]


@settings(deadline=None, max_examples=50)
@given(corpora(), st.integers(2, 10), st.integers(0, 3), st.randoms())
def test_stratified_folds_keep_patients_whole_whatever_the_order(corpus, folds, seed, random) -> None:  # type: ignore[no-untyped-def]
    ids, labels, patients = corpus
    fold_of = stratified_folds(ids, labels, patients, folds=folds, seed=seed)
    assert fold_of.shape == (len(ids),)
    assert fold_of.min() >= 1 and fold_of.max() <= folds
    for patient in set(patients) - {None}:
        assert len({fold for fold, owner in zip(fold_of, patients, strict=True) if owner == patient}) == 1

    order = list(range(len(ids)))
    random.shuffle(order)
    again = stratified_folds(
        [ids[row] for row in order], labels[order], [patients[row] for row in order], folds=folds, seed=seed
    )
    np.testing.assert_array_equal(again, fold_of[order])


def test_stratified_folds_share_out_every_class_and_every_pair_of_seeds_differs() -> None:
    random = np.random.default_rng(0)
    labels = (random.random((2000, 4)) < [0.4, 0.2, 0.05, 0.02]).astype(np.uint8)
    ids = [f"{number:04d}" for number in range(2000)]
    fold_of = stratified_folds(ids, labels, folds=10, seed=1)
    for fold in range(1, 11):
        inside = labels[fold_of == fold]
        assert abs(len(inside) - 200) <= 4
        np.testing.assert_allclose(inside.sum(axis=0), labels.sum(axis=0) / 10, atol=2)
    assert (fold_of != stratified_folds(ids, labels, folds=10, seed=2)).any()


def test_stratified_folds_count_a_patient_once_with_all_their_classes() -> None:
    """Class 1 is held by two patients, one of them with many recordings: they go to different folds."""
    ids = [f"R{number:02d}" for number in range(20)]
    patients = ["many"] * 9 + ["one"] + [f"p{number}" for number in range(10)]
    labels = np.zeros((20, 2), np.uint8)
    labels[[3, 9], 1] = 1
    fold_of = stratified_folds(ids, labels, patients, folds=2)
    assert fold_of[3] != fold_of[9]
    assert (fold_of[:9] == fold_of[3]).all()


def test_a_recording_without_a_patient_is_not_that_of_a_patient_with_its_name() -> None:
    fold_of = stratified_folds(["a", "b", "c"], np.eye(3, 2), ["c", "b", None], folds=3)
    assert sorted(fold_of) == [1, 2, 3]


@pytest.mark.parametrize(
    ("ids", "labels", "options", "message"),
    [
        (["a", "a", "b"], np.ones((3, 2)), {"folds": 2}, "more than once: a"),
        (["a", "b"], np.ones((3, 2)), {"folds": 2}, "2 ids but 3 labels"),
        (["a", "b", "c"], np.ones((3, 2)), {"folds": 4}, "cannot make 4 folds of 3 patients"),
        (["a", "b", "c"], np.ones((3, 2)), {"folds": 1}, "cannot make 1 folds"),
        (
            ["a", "b", "c"],
            np.ones((3, 2)),
            {"folds": 2, "patients": ["p", "p", "p"]},
            "2 folds of 1 patients",
        ),
        (["a", "b", "c"], np.ones(3), {"folds": 2}, "at least 2 classes"),
    ],
)
def test_stratified_folds_refuse(ids, labels, options, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SplitError, match=message):
        stratified_folds(ids, labels, **options)


def test_stratified_splits_of_all_test_folds_are_a_cross_validation() -> None:
    ids = [f"R{number:02d}" for number in range(50)]
    labels = np.eye(5, dtype=np.uint8)[np.arange(50) % 5]
    patients = [f"p{number // 2}" for number in range(50)]
    splits = [stratified_split(ids, labels, patients, folds=5, test_fold=fold) for fold in range(1, 6)]
    assert sorted(name for split in splits for name in split.test) == ids
    assert all(sorted(split.train + split.validation + split.test) == ids for split in splits)
    assert splits[0].validation == splits[4].test
    assert stratified_split(ids, labels, patients, folds=5) == splits[4]


@pytest.mark.parametrize(("folds", "test_fold", "message"), [(2, None, "at least 3 folds"), (5, 6, "test fold 6")])
def test_stratified_split_refuses(folds: int, test_fold: int | None, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        stratified_split("abcdefg", np.ones((7, 2)), folds=folds, test_fold=test_fold)


# ---- checking


def test_check_split_accepts_a_split_of_part_of_the_corpus() -> None:
    check_split(Split(("a",), ("b", "e"), ("c",)), "abcde", ["p", "q", None, "p", None])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(("a", "x"), ("b",), ("c",)), "1 recordings of the split are not in the corpus: x"),
        (Split(("a", "b"), ("b",), ("c",)), "1 recordings occur more than once: b"),
        (
            Split(("a",), ("b",), ("c", "d")),
            r"1 patients are in more than one part: p \(the first in train and test",
        ),
    ],
)
def test_check_split_refuses(split: Split, message: str) -> None:
    with pytest.raises(SplitError, match=message):
        check_split(split, "abcd", ["p", "q", None, "p"])


# ---- files

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@given(st.lists(NAMES, min_size=3, max_size=20, unique=True), st.data())
def test_split_files_give_back_what_was_written(tmp_path_factory, names: list[str], data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    first = data.draw(st.integers(1, len(names) - 2))
    second = data.draw(st.integers(first + 1, len(names) - 1))
    split = Split(tuple(names[:first]), tuple(names[first:second]), tuple(names[second:]))
    path = tmp_path_factory.mktemp("split") / "split.csv"
    write_split(path, split)
    assert read_split(path) == split
    assert [file.name for file in path.parent.iterdir()] == ["split.csv"]


def test_split_files_may_have_other_columns_spaces_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("part,site,id\ntrain,x,00007 \ntest,y,2\n validation,z,3\n", encoding="utf-8-sig")
    assert read_split(path) == Split(("00007",), ("3",), ("2",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the first line must name the columns id and part"),
        ("id,side\na,train\n", "the first line must name the columns id and part"),
        (
            "id,part\na,train\nb,dev\n",
            "line 3: expected an id and one of train, validation, test, not 'b' and 'dev'",
        ),
        ("id,part\na\n", "line 2: expected an id"),
        ("id,part\na,train\nb,test\n", "no recording is in the validation part"),
        ("id,part\na,train\na,test\nb,validation\n", "more than once: a"),
    ],
)
def test_read_split_refuses(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text)
    with pytest.raises(SplitError, match=message) as caught:
        read_split(path)
    assert str(caught.value).startswith(str(path))


def test_unreadable_and_unwritable_split_files_are_split_errors(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"id,part\n\xff\xfe\x00")
    for path in (tmp_path / "none.csv", tmp_path / "binary.csv", tmp_path):
        with pytest.raises(SplitError, match="cannot read"):
            read_split(path)
    with pytest.raises(SplitError, match="cannot write"):
        write_split(tmp_path / "no folder" / "split.csv", Split(("a",), ("b",), ("c",)))
