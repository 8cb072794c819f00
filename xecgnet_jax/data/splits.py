"""Which recordings train, validate and test: the paper's split, stratified folds, own folds, split files."""

from __future__ import annotations

import csv
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xecgnet_jax.errors import SplitError

#: The sides of a split, as split files name them.
PARTS: tuple[str, ...] = ("train", "validation", "test")

#: Seed of both draws of the authors' split.
_PAPER_SEED = 1004


@dataclass(frozen=True)
class Split:
    """Ids of the recordings on each side, in the order in which the split was drawn or written."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def paper_split(ids: Iterable[str]) -> Split:
    """The authors' split: 20 % to test, 5 % of the rest to validation, both drawn with seed 1004.

    Of CPSC2018's 6,877 recordings that is 5,225 / 276 / 1,376. CPSC2018 publishes no patients, so no
    one can tell whether a patient is on two sides.

    Args:
      ids: ids of the whole corpus, in any order; the draw starts from their sorted order.

    Raises:
      SplitError: an id occurs twice, or there are too few ids for three sides.
    """
    names = sorted(ids)
    _refuse_repeated(names)
    if len(names) < 3:
        raise SplitError(f"the paper's split needs at least 3 recordings, not {len(names)}")
    from sklearn.model_selection import train_test_split  # a second to import, which no other split needs

    rest, test = train_test_split(names, test_size=0.2, train_size=0.8, shuffle=True, random_state=_PAPER_SEED)
    train, validation = train_test_split(rest, test_size=0.05, train_size=0.95, shuffle=True, random_state=_PAPER_SEED)
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
    """The split that gives whole folds to each side, such as PTB-XL's `strat_fold` 1–8, 9 and 10.

    Recordings of folds that are on no side are left out.

    Args:
      ids: R ids.
      folds: [R] fold of each recording; None or a negative number where it has none.
      train: folds of the training side; likewise `validation` and `test`.
      patients: [R] patient of each recording, None where unknown; checked where given.

    Raises:
      SplitError: a fold is on two sides or does not exist, a side is empty, or a patient is on two sides.
    """
    _refuse_repeated(ids)
    _refuse_lengths(ids, folds=folds, patients=patients)
    sides = {"train": set(train), "validation": set(validation), "test": set(test)}
    asked = Counter(fold for side in sides.values() for fold in side)
    if shared := sorted(fold for fold, count in asked.items() if count > 1):
        raise SplitError(f"fold {_some(shared)} is on more than one side; give each fold to one side only")
    numbers = [-1 if fold is None else int(fold) for fold in folds]
    known = sorted({number for number in numbers if number >= 0})
    if missing := sorted(set(asked) - set(known)):
        has = f"has the folds {_some(known, 20)}" if known else "has no folds"
        raise SplitError(f"no recording is in fold {_some(missing)}; the corpus {has}")
    on_side = {
        part: tuple(name for name, fold in zip(ids, numbers, strict=True) if fold in sides[part]) for part in PARTS
    }
    split = Split(**on_side)
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
    """Folds of equal size and equal label frequencies, each patient wholly in one.

    Iterative stratification (Sechidis et al., ECML PKDD 2011) over patients: a patient has every class
    that any of their recordings has, and counts once however many recordings they have. The folds
    depend on the ids, labels, patients and seed, not on the order of the recordings.

    Args:
      ids: R ids.
      labels: [R, C] 0 or 1, C at least 2.
      patients: [R] patient of each recording. A recording without one (None) is a patient of its own.
      folds: how many.
      seed: of the draw that breaks ties.

    Returns:
      [R] int64, 1 to `folds`.

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
    has_class = np.stack([labels[rows].any(axis=0) for rows in members])
    fold_of = np.empty(len(ids), np.int64)
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold  # as slow to import as scikit-learn, which it needs

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
    """One of `stratified_folds` for test, the one before it for validation, the rest for training.

    `test_fold` = 1 … `folds` with the same seed is a cross-validation: every recording is tested once.

    Args:
      ids: R ids; `labels`, `patients`, `folds` and `seed` as in `stratified_folds`.
      test_fold: 1 to `folds`; the last where None. The fold before fold 1 is the last one.

    Raises:
      SplitError: as `stratified_folds`; also for fewer than 3 folds or a test fold that does not exist.
    """
    if folds < 3:
        raise SplitError(f"a stratified split needs at least 3 folds, one for each side, not {folds}")
    test = folds if test_fold is None else test_fold
    if not 1 <= test <= folds:
        raise SplitError(f"test fold {test} does not exist; the folds are 1 to {folds}")
    fold_of = stratified_folds(ids, labels, patients, folds=folds, seed=seed)
    validation = folds if test == 1 else test - 1
    train = set(range(1, folds + 1)) - {validation, test}
    return fold_split(ids, fold_of, train=train, validation=[validation], test=[test], patients=patients)


def check_split(split: Split, ids: Iterable[str], patients: Sequence[str | None] | None = None) -> None:
    """Refuses a split that does not fit its corpus or whose test side is not independent of the others.

    Args:
      split: the split.
      ids: R ids of the corpus.
      patients: [R] patient of each recording in the order of `ids`, None where unknown.

    Raises:
      SplitError: an id that the corpus has not, an id twice, or a patient on two sides; names the first few.
    """
    corpus = list(ids)
    _refuse_lengths(corpus, patients=patients)
    names = split.train + split.validation + split.test
    known = set(corpus)
    if unknown := [name for name in names if name not in known]:
        raise SplitError(f"{len(unknown)} recordings of the split are not in the corpus: {_some(unknown)}")
    _refuse_repeated(names)
    if patients is None:
        return
    part_of = {name: part for part in PARTS for name in getattr(split, part)}
    parts_of_patient: dict[str, set[str]] = {}
    for name, patient in zip(corpus, patients, strict=True):
        if patient is not None and name in part_of:
            parts_of_patient.setdefault(patient, set()).add(part_of[name])
    torn = [patient for patient, parts in parts_of_patient.items() if len(parts) > 1]
    if torn:
        first = " and ".join(part for part in PARTS if part in parts_of_patient[torn[0]])
        raise SplitError(
            f"{len(torn)} patients are on more than one side: {_some(torn)} (the first on {first}); "
            "put all recordings of a patient on one side"
        )


def read_split(path: Path) -> Split:
    """The split of a CSV file with the columns `id` and `part` (train, validation or test).

    Raises:
      SplitError: the file is missing or not of this form, an id occurs twice, or a side is empty.
    """
    sides: dict[str, list[str]] = {part: [] for part in PARTS}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"id", "part"} <= set(rows.fieldnames or ()):
                raise SplitError(f"{path}: the first line must name the columns id and part")
            for row in rows:
                name, part = (row["id"] or "").strip(), (row["part"] or "").strip()
                if not name or part not in sides:
                    raise SplitError(
                        f"{path}, line {rows.line_num}: expected an id and one of {', '.join(PARTS)}, "
                        f"not '{name}' and '{part}'"
                    )
                sides[part].append(name)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SplitError(f"{path}: cannot read this split file: {error}") from error
    split = Split(*(tuple(sides[part]) for part in PARTS))
    try:
        _refuse_repeated(split.train + split.validation + split.test)
        _refuse_empty(split)
    except SplitError as error:
        raise SplitError(f"{path}: {error}") from None
    return split


def write_split(path: Path, split: Split) -> None:
    """Writes `split` as a CSV file with the columns `id` and `part`; `read_split` gives it back as it was.

    An existing file is replaced whole or, when writing fails, left as it was.

    Raises:
      SplitError: the file cannot be written.
    """
    unfinished = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", newline="", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            unfinished = Path(file.name)
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("id", "part"))
            rows.writerows((name, part) for part in PARTS for name in getattr(split, part))
        unfinished.chmod(0o644)  # a temporary file is born readable by its owner only
        unfinished.replace(path)
    except OSError as error:
        raise SplitError(f"{path}: cannot write this split file: {error}") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def _members_of_patients(ids: Sequence[str], patients: Sequence[str | None] | None) -> list[list[int]]:
    """Rows of each patient, patients sorted so that the order of the recordings has no say."""
    members: dict[tuple[str, str], list[int]] = {}
    for row, name in enumerate(ids):
        patient = None if patients is None else patients[row]
        # The first element keeps a recording apart from a patient who happens to have the same name.
        key = ("recording", name) if patient is None else ("patient", patient)
        members.setdefault(key, []).append(row)
    return [members[key] for key in sorted(members)]


def _refuse_repeated(names: Iterable[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise SplitError(f"{len(repeated)} recordings occur more than once: {_some(repeated)}")


def _refuse_empty(split: Split) -> None:
    empty = [part for part in PARTS if not getattr(split, part)]
    if empty:
        raise SplitError(f"no recording is on the {_some(empty)} side")


def _refuse_lengths(ids: Sequence[str], **others: Sequence[object] | np.ndarray | None) -> None:
    for name, values in others.items():
        if values is not None and len(values) != len(ids):
            raise SplitError(f"{len(ids)} ids but {len(values)} {name}")


def _some(items: Sequence[object], most: int = 5) -> str:
    """The first few items, for a message."""
    return ", ".join(str(item) for item in items[:most]) + (", …" if len(items) > most else "")
