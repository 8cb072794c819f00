"""What the openers of corpora share: recordings without signals, and the tables and files that list them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from xecgnet_jax.data.io.fields import split_codes
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID
from xecgnet_jax.data.io.walk import HIDDEN, walk_folders
from xecgnet_jax.data.labels import strip_decimals
from xecgnet_jax.errors import CorpusError, first_few, shorten
from xecgnet_jax.files import open_regular

#: Suffixes of WFDB's headers and signal files.
OF_WFDB = (".hea", ".mat", ".dat")


@dataclass(frozen=True)
class Entry:
    """One recording of a corpus, without its signal."""

    id: str  #: name of the recording, unique in its corpus
    path: Path  #: the file of the recording: `.hea`, `.mat`, or one of a hospital
    codes: tuple[str, ...]  #: diagnostic codes as the corpus writes them
    likelihoods: tuple[float, ...] = ()  #: of the codes in percent, 0 where unknown; none where the corpus gives none
    patient: str | None = None  #: patient id, or None where the corpus has none
    fold: int | None = None  #: the corpus's own fold, or None
    age: float | None = None  #: years, or None
    sex: str | None = None  #: "F", "M" or None
    row: int | None = None  #: in a file of many recordings


@dataclass(frozen=True)
class Corpus:
    """A folder of recordings as published."""

    kind: str  #: "cpsc2018", "challenge", "ptbxl", "wfdb-csv" or "hdf5"
    root: Path
    entries: tuple[Entry, ...]  #: sorted by id; of HDF5, in the order of files and rows
    rate_of_files: int = 0  #: Hz of the files that were chosen where each recording has several; 0: the highest
    lost: Mapping[str, str] = field(default_factory=dict)  #: id → why a recording of its table or folder has no entry
    hdf5: HDF5 = UNSAID  #: what the user says of HDF5 files
    annotated: tuple[str, ...] = ()  #: classes that the corpus annotates, the others are unknown; none: all it has
    together: int = 1  #: recordings that are best read together, see `Tracings`
    samples: int = 0  #: of all recordings, where it is known without reading them

    def left_out(self) -> tuple[tuple[Path, str], ...]:
        """Returns the folders and hidden recordings below its own that are not looked into, and why."""
        found: list[tuple[Path, str]] = []
        for _ in walk_folders(self.root, found):
            pass
        return tuple((path, why) for path, why in found if why != HIDDEN or path.is_dir() or path.suffix in OF_WFDB)


class Gap(NamedTuple):
    """Recordings that a table has without a file, or a folder without a row; the arguments of `refuse`."""

    where: Path
    problem: str
    names: list[str]
    remedy: str


class Asked(NamedTuple):
    """What a user asks of a corpus that does not say it itself."""

    rate_of_files: int = 0  #: Hz of the files to take where each recording has several; 0: the highest
    hdf5: HDF5 = UNSAID


class Listing(NamedTuple):
    """What a folder and its tables list, before anything is left out."""

    entries: list[Entry]
    gaps: Sequence[Gap] = ()
    annotated: tuple[str, ...] = ()  #: as in `Corpus`, likewise the rest
    together: int = 1
    samples: int = 0


def lost_of(gaps: Iterable[Gap], *, skip: bool) -> dict[str, str]:
    """Returns id → cause of the recordings of gaps, or refuses the first."""
    for gap in gaps:
        if not skip:
            refuse(*gap)
    return {name: f"{gap.where}: {gap.problem} it" for gap in gaps for name in gap.names}


#: The end of what to do about a gap.
LEAVE_OUT = "or leave them out (--on-bad-recording skip of train, sweep, evaluate and compare)"


#: How a line above the columns of labels.csv begins, that lists the classes which the corpus annotates.
ANNOTATED = "classes:"


#: Names of columns that look as if they held labels.
_LABELS = re.compile(r"(?:.*_)?labels?(?:_?\d+)?", re.IGNORECASE)


def read_table(path: Path, columns: Sequence[str], labels: Sequence[str] = ()) -> list[dict[str, str]]:
    """Reads the rows of a CSV table, cells stripped; an error names the columns that are wrong, or the line.

    A column that is there twice is refused, and where `labels` names those with labels, another that seems to be one.
    """
    try:
        with TextIOWrapper(open_regular(path), newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            above = int(first.startswith(ANNOTATED))
            reader = csv.DictReader(file if above else chain([first], file), strict=True)
            times = Counter(name.strip().lower() for name in reader.fieldnames or () if name.strip())
            if doubled := [shorten(name) for name, number in times.items() if number > 1]:
                raise CorpusError(f"{path}: the column {first_few(doubled)} is there more than once. Keep one.")
            if missing := [column for column in columns if column not in (reader.fieldnames or ())]:
                raise CorpusError(f"{path}: no column {', '.join(missing)}. Restore or complete the table.")
            others = [name for name in reader.fieldnames or () if _LABELS.fullmatch(name) and name not in labels]
            if labels and others:
                known = ", ".join(labels)
                raise CorpusError(f"{path}: labels are read from {known}, not {shorten(others[0])}. Rename it.")
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    problem = "has more or fewer cells than the first. Correct it."
                    raise CorpusError(f"{path}: line {above + reader.line_num} {problem}")
                rows.append({column: cell.strip() for column, cell in row.items()})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise CorpusError(f"{path}: cannot be read as a UTF-8 CSV table ({why}). Restore it.") from error
    return rows


def files_below(root: Path, suffix: str) -> list[Path]:
    """Returns the files of a suffix in `root` and its folders, in the order of their paths; see `walk_folders`.

    Raises:
      CorpusError: a file has the suffix in capitals; software that reads WFDB does not find it.
    """
    files = [path for _, paths in walk_folders(root, []) for path in paths if path.suffix.lower() == suffix]
    capital = [str(path.relative_to(root)) for path in files if path.suffix != suffix]
    refuse(root, f"the suffix {suffix} is in capitals in", capital, "Rename them, and correct their headers.")
    return sorted(files)


def paths_by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns name of a recording → its file; two files of one name are an error."""
    by_name: dict[str, Path] = {}
    for path in paths:
        if (other := by_name.setdefault(path.stem, path)) != path:
            raise CorpusError(f"{path}: another recording of this name is {other}. Rename one.")
    return by_name


def check_unique(table: Path, names: Sequence[str]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    refuse(table, "more than one row for", doubled, "Keep one of them.")


def refuse(where: Path, problem: str, names: Sequence[str], remedy: str) -> None:
    """Raises an error that names the first few of the recordings, if there are any."""
    if names:
        raise CorpusError(f"{where}: {problem} {len(names)} recordings: {first_few(names)}. {remedy}")


def parse_fold(where: str, text: str) -> int | None:
    """Returns a fold's number; pandas writes 3 as 3.0 where a column has gaps."""
    if not text:
        return None
    if not re.fullmatch(r"[-+]?\d{1,6}", plain := strip_decimals(text), re.ASCII):
        raise CorpusError(f"{where}: the fold {shorten(text)} is no integer of up to six digits. Correct it.")
    return int(plain)


def codes_of(where: str, text: str, separators: str) -> tuple[str, ...]:
    """Returns `split_codes` of a cell."""
    try:
        return split_codes(text, separators)
    except ValueError as error:
        raise CorpusError(f"{where}: {error}. Correct it.") from error
