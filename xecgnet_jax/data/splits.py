"""Splits of a corpus into training, validation and test: the paper's, stratified folds, own folds, split files."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from xecgnet_jax.errors import SplitError, first_few
from xecgnet_jax.files import open_regular, write_text


class Split(NamedTuple):
    """The ids of the recordings in each part, in the order in which the split was drawn or written."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


#: Names of the parts, as split files write them.
PARTS: tuple[str, ...] = Split._fields
#: Bytes that a compressed split file may hold: a million recordings.
_LARGEST = 50_000_000


def paper_split(ids: Iterable[str]) -> Split:
    """Returns the authors' split: 20 % to test, 5 % of the rest to validation, both drawn with seed 1004.

    Of CPSC2018's 6,877 recordings that is 5,225 / 276 / 1,376. CPSC2018 publishes no patients, so no one can tell
    whether a patient is in two parts. `ids` are those of the whole corpus; the draw starts from their sorted order.

    Raises:
      SplitError: an id occurs twice, or there are too few ids for three parts.
    """
    names = sorted(ids)
    _refuse_repeated(names)
    if len(names) < 3:
        raise SplitError(f"the paper's split needs at least 3 recordings, not {len(names)}")
    from sklearn.model_selection import train_test_split  # a second to import, which no other split needs

    rest, test = train_test_split(names, test_size=0.2, train_size=0.8, shuffle=True, random_state=1004)
    train, validation = train_test_split(rest, test_size=0.05, train_size=0.95, shuffle=True, random_state=1004)
    return Split(tuple(train), tuple(validation), tuple(test))


def fold_split(
    ids: Sequence[str],
    folds: Sequence[int | None] | np.ndarray,
    *,
    train: Iterable[int],
    validation: Iterable[int],
    test: Iterable[int],
    patients: Sequence[str | None] | None = None,
) -> Split:
    """Returns the split that gives whole folds to each part, such as PTB-XL's `strat_fold` 1–8, 9 and 10.

    Recordings of folds that are in no part are left out. Of each of the R recordings, `folds` has the fold, None or a
    negative number where it has none, and `patients` the patient, None where unknown, which is checked where given.

    Raises:
      SplitError: a fold is in two parts or does not exist, a part is empty, or a patient is in two parts.
    """
    _refuse_repeated(ids)
    _refuse_lengths(ids, folds=folds, patients=patients)
    wanted = [set(train), set(validation), set(test)]
    uses = Counter(fold for part in wanted for fold in part)
    if shared := sorted(fold for fold, count in uses.items() if count > 1):
        raise SplitError(f"fold {first_few(shared)} is in more than one part; give each fold to one part only")
    known = sorted({int(fold) for fold in folds if fold is not None and fold >= 0})
    if missing := sorted(set(uses) - set(known)):
        has = f"has the folds {first_few(known, 20)}" if known else "has no folds"
        raise SplitError(f"no recording is in fold {first_few(missing)}; the corpus {has}")
    split = Split(*(tuple(name for name, fold in zip(ids, folds, strict=True) if fold in part) for part in wanted))
    _refuse_empty(split)
    check_split(split, ids, patients)
    return split


def stratified_folds(
    ids: Sequence[str],
    labels: np.ndarray,
    patients: Sequence[str | None] | None = None,
    *,
    folds: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Returns folds of equal size and equal label frequencies, [R] int64 from 1 to `folds`, each patient in only one.

    Iterative stratification (Sechidis et al., ECML PKDD 2011) over patients: a patient has every class that any of
    their recordings has, and counts once however many recordings they have. The folds depend on the ids, labels,
    patients and the seed (of the draw that breaks ties), not on the order of the R recordings.

    Args:
      labels: [R, C] 0 or 1, C at least 2.
      patients: [R] patient of each recording. A recording without one (None) is a patient of its own.

    Raises:
      SplitError: an id occurs twice, the lengths differ, or there are fewer patients than folds.
    """
    labels = np.asarray(labels)
    _refuse_repeated(ids)
    _refuse_lengths(ids, labels=labels, patients=patients)
    if labels.ndim != 2 or labels.shape[1] < 2:
        raise SplitError(f"labels must be [R, C] with at least 2 classes, not of shape {labels.shape}")
    members = _members_of_patients(ids, patients)
    if not 2 <= folds <= len(members):
        raise SplitError(f"cannot make {folds} folds of {len(members)} patients; ask for 2 to {len(members)}")
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold  # as slow to import as scikit-learn, which it needs

    has_class = np.stack([labels[rows].any(axis=0) for rows in members])
    fold_of = np.empty(len(ids), np.int64)
    stratifier = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    for number, (_, chosen) in enumerate(stratifier.split(np.zeros(len(members)), has_class), start=1):
        for patient in chosen:
            fold_of[members[patient]] = number
    return fold_of


def stratified_split(
    ids: Sequence[str],
    labels: np.ndarray,
    patients: Sequence[str | None] | None = None,
    *,
    folds: int = 10,
    test_fold: int | None = None,
    seed: int = 0,
) -> Split:
    """Returns the split that has one of `stratified_folds` for test, the one before for validation, the rest to train.

    `test_fold` = 1 … `folds` (the last where None) with the same seed is a cross-validation: every recording is tested
    once. The fold before fold 1 is the last one. All other arguments are as in `stratified_folds`.

    Raises:
      SplitError: as `stratified_folds`; also for fewer than 3 folds or a test fold that does not exist.
    """
    if folds < 3:
        raise SplitError(f"a stratified split needs at least 3 folds, one for each part, not {folds}")
    test = folds if test_fold is None else test_fold
    if not 1 <= test <= folds:
        raise SplitError(f"test fold {test} does not exist; the folds are 1 to {folds}")
    fold_of = stratified_folds(ids, labels, patients, folds=folds, seed=seed)
    validation = folds if test == 1 else test - 1
    train = set(range(1, folds + 1)) - {validation, test}
    return fold_split(ids, fold_of, train=train, validation=[validation], test=[test], patients=patients)


def check_split(split: Split, ids: Iterable[str], patients: Sequence[str | None] | None = None) -> None:
    """Refuses a split that does not fit its corpus (R ids) or whose test part is not independent of the others.

    `patients` are [R], in the order of `ids`, None where unknown.

    Raises:
      SplitError: an id that the corpus does not have, an id twice, or a patient in two parts; names the first few.
    """
    corpus = list(ids)
    _refuse_lengths(corpus, patients=patients)
    known = set(corpus)
    if unknown := [name for part in split for name in part if name not in known]:
        raise SplitError(f"{len(unknown)} recordings of the split are not in the corpus: {first_few(unknown)}")
    _refuse_repeated(sum(split, ()))
    if patients is None:
        return
    part_of = dict(_rows_of(split))
    parts_of_patient: dict[str, set[str]] = {}
    for name, patient in zip(corpus, patients, strict=True):
        if patient is not None and name in part_of:
            parts_of_patient.setdefault(patient, set()).add(part_of[name])
    if shared := [patient for patient, parts in parts_of_patient.items() if len(parts) > 1]:
        first = " and ".join(part for part in PARTS if part in parts_of_patient[shared[0]])
        problem = f"{len(shared)} patients are in more than one part: {first_few(shared)} (the first in {first})"
        raise SplitError(f"{problem}; put all recordings of a patient into one part")


def read_split(path: Path) -> Split:
    """Reads the split of a CSV file, or .csv.gz, with the columns `id` and `part` (train, validation or test).

    Raises:
      SplitError: the file is missing or not of this form, an id occurs twice, or a part is empty.
    """
    ids: dict[str, list[str]] = {part: [] for part in PARTS}
    try:
        with _open_table(path) as file:
            rows = csv.DictReader(file)
            if not {"id", "part"} <= set(rows.fieldnames or ()):
                raise SplitError("the first line must name the columns id and part")
            for row in rows:
                name, part = (row["id"] or "").strip(), (row["part"] or "").strip()
                if not name or part not in ids:
                    wanted = f"an id and one of {', '.join(PARTS)}"
                    raise SplitError(f"line {rows.line_num}: expected {wanted}, not {name[:40]!r} and {part[:40]!r}")
                ids[part].append(name)
        split = Split(*map(tuple, ids.values()))
        _refuse_repeated(sum(split, ()))
        _refuse_empty(split)
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path}: cannot read this split file: {error}") from error
    return split


def read_patients(path: Path) -> dict[str, str]:
    """Reads recording → patient of a split file that `read_split` could read; none where it has no such column."""
    with _open_table(path) as file:
        return {row["id"].strip(): row["patient"].strip() for row in csv.DictReader(file) if row.get("patient")}


def read_people(path: Path) -> dict[str, str]:
    """Reads recording → patient, "" where unknown, of what `people_text` returns.

    Raises:
      SplitError: the file is not of this form.
    """
    try:
        with _open_table(path) as file:
            return {row["id"]: row["patient"] for row in csv.DictReader(file)}
    except (OSError, EOFError, KeyError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path}: cannot be read as a list of recordings and patients: {error}") from error


def people_text(people: Mapping[str, str]) -> str:
    """Returns recording → patient as CSV with the columns `id` and `patient`."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "patient"), *people.items()])
    return text.getvalue()


def write_split(path: Path, split: Split, patients: Mapping[str, str] | None = None) -> None:
    """Writes a split as a CSV file with the columns `id` and `part`; `read_split` gives it back as it was.

    Where patients of recordings are given, there is a column `patient`.

    An existing file is replaced whole or, when writing fails, left as it was.

    Raises:
      SplitError: the file cannot be written.
    """
    try:
        if not path.parent.is_dir():
            raise NotADirectoryError(f"{path.parent} is no folder")
        write_text(path, split_text(split, patients))
    except OSError as error:
        raise SplitError(f"{path}: cannot write this split file: {error}") from error


def split_text(split: Split, patients: Mapping[str, str] | None = None) -> str:
    """Returns what `write_split` writes."""
    text = io.StringIO()
    rows: list[tuple[str, ...]] = [("id", "part"), *_rows_of(split)]
    if patients:
        rows = [(*row, patients.get(row[0], "") if number else "patient") for number, row in enumerate(rows)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _open_table(path: Path) -> TextIO:
    if path.suffix == ".gz":
        with open_regular(path) as raw, gzip.open(raw) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise SplitError(f"holds more than {_LARGEST:,} bytes, which no split has")
        return io.StringIO(content.decode("utf-8-sig"), newline="")
    return io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="")


def _rows_of(split: Split) -> list[tuple[str, str]]:
    """Returns the (id, part) of each recording."""
    return [(name, part) for part, names in zip(PARTS, split, strict=True) for name in names]


def _members_of_patients(ids: Sequence[str], patients: Sequence[str | None] | None) -> list[list[int]]:
    """Returns the rows of each patient, patients sorted so that the order of the recordings does not matter."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, (name, patient) in enumerate(zip(ids, [None] * len(ids) if patients is None else patients, strict=True)):
        # The first element keeps a recording apart from a patient who happens to have the same name.
        key = ("recording", name) if patient is None else ("patient", patient)
        members.setdefault(key, []).append(row)
    return [members[key] for key in sorted(members)]


def _refuse_repeated(names: Iterable[str]) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise SplitError(f"{len(repeated)} recordings occur more than once: {first_few(repeated)}")


def _refuse_empty(split: Split) -> None:
    if empty := [part for part, names in zip(PARTS, split, strict=True) if not names]:
        raise SplitError(f"no recording is in the {first_few(empty)} part")


def _refuse_lengths(ids: Sequence[str], **others: Sequence[object] | np.ndarray | None) -> None:
    for name, values in others.items():
        if values is not None and len(values) != len(ids):
            raise SplitError(f"{len(ids)} ids but {len(values)} {name}")
