"""A folder → the kind of its corpus, its recordings, labels, patients and folds."""

from __future__ import annotations

import ast
import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from xecgnet_jax.data.io.formats import format_of
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID, read_contents
from xecgnet_jax.data.io.hospital import recording_name
from xecgnet_jax.data.io.walk import HIDDEN, walk_folders
from xecgnet_jax.data.io.wfdb import read_header
from xecgnet_jax.data.io.wfdb_header import MOST_CODES, parse_age, parse_sex, shorten, split_codes
from xecgnet_jax.data.labels import CPSC2018, strip_decimals
from xecgnet_jax.errors import CorpusError, RecordError, first_few
from xecgnet_jax.files import open_regular

#: Suffixes of WFDB's headers and signal files.
_OF_WFDB = (".hea", ".mat", ".dat")


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
    annotated: tuple[str, ...] = ()  #: classes that the corpus annotates, the others are unknown; none: all it has
    lost: Mapping[str, str] = field(default_factory=dict)  #: id → why a recording of its table or folder has no entry
    hdf5: HDF5 = UNSAID  #: what the user says of HDF5 files
    together: int = 1  #: recordings that are best read together, see `Tracings`
    samples: int = 0  #: of all recordings, where it is known without reading them

    def left_out(self) -> tuple[tuple[Path, str], ...]:
        """Returns the folders and hidden recordings below its own that are not looked into, and why."""
        found: list[tuple[Path, str]] = []
        for _ in walk_folders(self.root, found):
            pass
        return tuple((path, why) for path, why in found if why != HIDDEN or path.is_dir() or path.suffix in _OF_WFDB)


#: The corpora that `read_corpus` recognizes, as its error message lists it.
KNOWN_FOLDERS: str = (
    "ptbxl_database.csv and records500/ or records100/ (PTB-XL); "
    "REFERENCE.csv and .mat files beside it or in TrainingSet*/ (CPSC2018); "
    "exams.csv and the HDF5 files that its column trace_file names (CODE-15 %); "
    "labels.csv and WFDB records (.hea) or files of hospitals below it (columns: docs/data.md); "
    "WFDB records (.hea) with a line #Dx: (PhysioNet/CinC Challenge)"
)


def read_corpus(folder: str | Path, *, rate_of_files: int = 0, skip_lost: bool = False, hdf5: HDF5 = UNSAID) -> Corpus:
    """Recognizes the corpus in `folder` and lists its recordings; signals are not read.

    A Challenge recording whose header cannot be parsed is listed without codes: `read_record` refuses it with the
    cause, so that one damaged file does not close a corpus of 40,000.

    Args:
      folder: of the corpus.
      rate_of_files: in Hz, which files to take where each recording is there at several rates; 0: the highest.
      skip_lost: go on where the table of PTB-XL or labels.csv has recordings without a file, or the folder of the
        latter files without a row; `Corpus.lost` has them.
      hdf5: data set, rate and units of HDF5 files.

    Raises:
      CorpusError: the folder is none of `KNOWN_FOLDERS`, or its tables contradict its files.
    """
    root = Path(folder)
    if not root.is_dir():
        raise CorpusError(f"{root}: no such folder. Check the path.")
    try:
        names = {path.name for path in root.iterdir()}
    except OSError as error:
        raise CorpusError(f"{root}: cannot be listed ({error.strerror}). Check its permissions.") from error
    found = [name for name in OPENERS if name in names]
    if len(found) > 1:
        raise CorpusError(f"{root}: holds {' and '.join(found)}; only one can apply. Remove the others.")
    if not found and (below := [path for name in OPENERS for path in sorted(root.glob(f"[!.]*/{name}"))]):
        raise CorpusError(f"{root}: {below[0]} is one folder below. Give {below[0].parent}.")
    kind, entries_of = OPENERS[found[0]] if found else ("challenge", _challenge_entries)
    if rate_of_files and kind != "ptbxl":
        raise CorpusError(f"{root}: has each recording at one rate only. Leave out --rate-of-files.")
    if kind == "hdf5":
        return _hdf5_corpus(root, hdf5, skip_lost)
    options = [rate_of_files] if kind == "ptbxl" else []
    found_entries, gaps = entries_of(root, *options)
    entries = tuple(sorted(found_entries, key=lambda entry: entry.id))
    lost = _lost(gaps, skip=skip_lost and bool(entries))
    if not entries:
        raise CorpusError(f"{root}: holds no recordings of a known corpus. Looked for: {KNOWN_FOLDERS}.")
    _refuse(root, "no Unicode text are names or codes of", [ascii(e.id) for e in entries if not _is_text(e)], "Rename.")
    annotated = _read_annotated(root / "labels.csv") if kind == "wfdb-csv" else ()
    return Corpus(kind, root, entries, rate_of_files, annotated, lost)


def _is_text(entry: Entry) -> bool:
    """Whether name, path and codes can be written: file names may be any bytes."""
    try:
        "".join([entry.id, str(entry.path), entry.patient or "", *entry.codes]).encode()
    except UnicodeEncodeError:
        return False
    return True


def read_reference(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Reads CPSC2018's REFERENCE.csv, recording → its one to three codes in the table's order, or refuses it."""
    path = Path(path)
    columns = ("First_label", "Second_label", "Third_label")
    rows = _read_table(path, ("Recording", "First_label"), labels=columns)
    codes: dict[str, tuple[str, ...]] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path}: line {line}"
        found = [(column, code) for column in columns for code in _codes(where, row.get(column) or "", "[;|]")]
        for column, code in found:
            if not CPSC2018.classes_of([code]):
                known = "Known are 1 to 9, and the names and codes of the nine classes"
                raise CorpusError(f"{where}: {column} is {code[:40]!r}. {known}.")
        codes[row["Recording"]] = tuple(code for _, code in found)
    _check_unique(path, [row["Recording"] for row in rows])
    _refuse(path, "no label in the row of", [name for name, found in codes.items() if not found], "Add one.")
    return codes


class _Gap(NamedTuple):
    """Recordings that a table has without a file, or a folder without a row; the arguments of `_refuse`."""

    where: Path
    problem: str
    names: list[str]
    remedy: str


def _lost(gaps: Iterable[_Gap], *, skip: bool) -> dict[str, str]:
    """Returns id → cause of the recordings of gaps, or refuses the first."""
    for gap in gaps:
        if not skip:
            _refuse(*gap)
    return {name: f"{gap.where}: {gap.problem} it" for gap in gaps for name in gap.names}


#: The end of what to do about a gap.
_LEAVE_OUT = "or leave them out (--on-bad-recording skip of train, sweep, evaluate and compare)"


def _cpsc_entries(root: Path) -> tuple[list[Entry], list[_Gap]]:
    """Returns the `.mat` files that are there. The table may list more: parts of the corpus are common."""
    codes = read_reference(root / "REFERENCE.csv")
    paths = _paths_by_name(_files_below(root, ".mat"))
    unlisted = [name for name in paths if name not in codes]
    _refuse(root / "REFERENCE.csv", "no row for", unlisted, "Use the table of these recordings.")
    return [Entry(name, path, codes[name]) for name, path in paths.items()], []


def _challenge_entries(root: Path) -> tuple[list[Entry], list[_Gap]]:
    paths = _paths_by_name(_files_below(root, ".hea"))
    entries, unlabeled = [], []
    for name, path in paths.items():
        try:
            header = read_header(path)
        except RecordError:
            entries.append(Entry(name, path, ()))
            continue
        if header.codes is None:
            unlabeled.append(name)
        entries.append(Entry(name, path, header.codes or (), age=header.age, sex=header.sex))
    _refuse(root, "no line #Dx: in the header of", unlabeled, "Write a labels.csv (docs/data.md).")
    headless = [path.stem for path in _files_below(root, ".mat") if path.stem not in paths]
    _refuse(root, "no header (.hea) beside the signal file of", headless, f"Looked for: {KNOWN_FOLDERS}.")
    return entries, []


#: Rates of PTB-XL's files in Hz, the highest first → their folder, and the column of its table that names them.
_PTBXL_FILES: dict[int, tuple[str, str]] = {500: ("records500", "filename_hr"), 100: ("records100", "filename_lr")}


def _ptbxl_entries(root: Path, rate: int) -> tuple[list[Entry], list[_Gap]]:
    table = root / "ptbxl_database.csv"
    there = [possible for possible, (folder, _) in _PTBXL_FILES.items() if (root / folder).is_dir()]
    if rate not in (0, *_PTBXL_FILES):
        raise CorpusError(f"{root}: PTB-XL has no files of {rate} Hz. Give --rate-of-files 500 or 100.")
    folder, column = _PTBXL_FILES[rate or (there or [500])[0]]
    columns = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", column)
    entries = [_ptbxl_entry(root, table, row, folder, column) for row in _read_table(table, columns)]
    _check_unique(table, [entry.id for entry in entries])
    headers = set(_files_below(root / folder, ".hea"))
    absent = [entry.id for entry in entries if entry.path not in headers]
    others = [f"or give --rate-of-files {other}" for other in there if _PTBXL_FILES[other][0] != folder]
    remedy = ", ".join(["Complete the download", *others, *([_LEAVE_OUT] if len(absent) < len(entries) else [])])
    gap = _Gap(table, f"no file in {folder}/ for", absent, f"{remedy}.")
    return [entry for entry in entries if entry.path in headers], [gap]


def _ptbxl_entry(root: Path, table: Path, row: dict[str, str], folder: str, column: str) -> Entry:
    """Returns the recording of a row. `sex` 0 is male; an `age` of 300 stands for any above 89, so it is unknown."""
    where = f"{table}: ecg_id {row['ecg_id']}"
    name = PurePosixPath(row[column])
    if name.parts[:1] != (folder,) or len(name.parts) != 3 or ".." in name.parts:
        raise CorpusError(f"{where}: {row[column]!r} does not lie in {folder}/. Restore the table.")
    try:
        codes = ast.literal_eval(row["scp_codes"])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        codes = None
    if (
        not isinstance(codes, dict)
        or len(codes) > MOST_CODES
        or not all(isinstance(code, str) for code in codes)
        or not all(type(given) in (int, float) and 0 <= given <= 100 for given in codes.values())
    ):
        raise CorpusError(f"{where}: {row['scp_codes'][:60]!r} is no dictionary of codes. Restore the table.")
    return Entry(
        id=name.name,
        path=root / f"{name}.hea",
        codes=tuple(codes),
        likelihoods=tuple(float(given) for given in codes.values()),
        patient=strip_decimals(row["patient_id"]) or None,
        fold=_parse_fold(where, row["strat_fold"]),
        age=parse_age(row["age"]),
        sex={"0": "M", "1": "F"}.get(strip_decimals(row["sex"])),
    )


def _csv_entries(root: Path) -> tuple[list[Entry], list[_Gap]]:
    table = root / "labels.csv"
    rows = _read_table(table, ("labels",), labels=("labels",))
    if rows and not {"id", "file"} & rows[0].keys():
        raise CorpusError(f"{table}: no column id or file. Name each recording, or its path in this folder.")
    paths = name_recordings(root)
    by_file = {path.relative_to(root).as_posix(): name for name, path in paths.items()}
    names = [by_file.get(row["file"], row["file"]) if "file" in row else row["id"] for row in rows]
    _check_unique(table, names)
    fileless = [name for name in names if name not in paths]
    rowless = sorted(set(paths) - set(names))
    gaps = [
        _Gap(table, "no recording (.hea, or a hospital's file) for", fileless, f"Restore the file, {_LEAVE_OUT}."),
        _Gap(table, "no row for", rowless, f"Add the row, {_LEAVE_OUT}."),
    ]
    entries = [
        Entry(
            id=name,
            path=paths[name],
            codes=_codes(f"{table}: id {name}", row["labels"], "[;|,]"),
            patient=strip_decimals(row.get("patient", "")) or None,
            fold=_parse_fold(f"{table}: id {name}", row.get("fold", "")),
            age=parse_age(row.get("age", "")),
            sex=parse_sex(row.get("sex", "")),
        )
        for name, row in zip(names, rows, strict=True)
        if name in paths
    ]
    return entries, gaps


def _hdf5_corpus(root: Path, layout: HDF5, skip_lost: bool) -> Corpus:
    """Reads exams.csv as CODE-15 % has it: columns of True and False are codes; files lie in the folder itself."""
    table = root / "exams.csv"
    rows = _read_table(table, ("exam_id", "trace_file"))
    _check_unique(table, [row["exam_id"] for row in rows])
    flags = (
        [name for name in rows[0] if name not in _NO_CODES and {row[name] for row in rows} <= {"True", "False"}]
        if rows
        else []
    )
    by_id = {row["exam_id"]: row for row in rows}
    names = sorted({row["trace_file"] for row in rows})
    if odd := [name for name in names if Path(name).name != name or name.startswith(".")]:
        raise CorpusError(f"{table}: trace_file {odd[0][:60]!r} is no name of a file. Restore the table.")
    files = {path.name: path for path in _files_below(root, ".hdf5") if path.name in names}
    contents = {path: read_contents(path, layout) for path in files.values()}
    entries = [
        _exam(by_id[name], path, row, flags)
        for path, held in contents.items()
        for row, name in enumerate(held.ids)
        if name in by_id and by_id[name]["trace_file"] == path.name
    ]
    there = Counter(entry.id for entry in entries)
    _refuse(root, "more than one tracing for", [name for name, number in there.items() if number > 1], "Keep one.")
    rowless = [name for held in contents.values() for name in held.ids if name not in by_id]
    gaps = [
        _Gap(
            table,
            "no tracing in the files for",
            [name for name in by_id if name not in there],
            f"Restore them, {_LEAVE_OUT}.",
        ),
        _Gap(table, "no row for", rowless, f"Add the rows, {_LEAVE_OUT}."),
    ]
    lost = _lost(gaps, skip=skip_lost and bool(entries))
    samples = sum(contents[entry.path].samples for entry in entries)
    together = max((held.together for held in contents.values()), default=1)
    return Corpus("hdf5", root, tuple(entries), lost=lost, hdf5=layout, together=together, samples=samples)


#: Columns of exams.csv that are True or False, and no finding.
_NO_CODES = frozenset({"is_male", "death", "normal_ecg"})


def _exam(row: Mapping[str, str], path: Path, number: int, flags: Sequence[str]) -> Entry:
    return Entry(
        id=row["exam_id"],
        path=path,
        codes=tuple(name for name in flags if row[name] == "True"),
        patient=row.get("patient_id") or None,
        age=parse_age(row.get("age", "")),
        sex={"True": "M", "False": "F"}.get(row.get("is_male", "")),
        row=number,
    )


def name_recordings(root: Path) -> dict[str, Path]:
    """Returns name → file of the WFDB records and the files of hospitals below a folder, sorted by path.

    The name is the file's without a known suffix, or, where another has the same, its path in the folder, likewise.
    WFDB names its records itself, so that two of one name are an error.
    """
    headers = _files_below(root, ".hea")
    described = {path.with_suffix("") for path in headers}
    others = [
        path
        for _, files in walk_folders(root, [])
        for path in files
        if not (path.suffix in _OF_WFDB and path.with_suffix("") in described) and format_of(path) is not None
    ]
    times = Counter(map(recording_name, [*headers, *others]))
    names = {}
    for path in others:
        name = recording_name(path)
        names[name if times[name] == 1 else path.with_name(name).relative_to(root).as_posix()] = path
    both = [name for name, number in Counter([*names, *map(recording_name, headers)]).items() if number > 1]
    if len(names) < len(others) or both:
        raise CorpusError(f"{root}: two recordings are named {first_few(both or list(names))}. Rename one.")
    return _paths_by_name(headers) | names


#: The table that marks a corpus → its kind and the function that lists its recordings.
OPENERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "ptbxl_database.csv": ("ptbxl", _ptbxl_entries),
    "REFERENCE.csv": ("cpsc2018", _cpsc_entries),
    "labels.csv": ("wfdb-csv", _csv_entries),
    "exams.csv": ("hdf5", _hdf5_corpus),
}


#: Names of columns that look as if they held labels.
_LABELS = re.compile(r"(?:.*_)?labels?(?:_?\d+)?", re.IGNORECASE)


def _read_table(path: Path, columns: Sequence[str], labels: Sequence[str] = ()) -> list[dict[str, str]]:
    """Reads the rows of a CSV table, cells stripped; an error names the columns that are wrong, or the line.

    A column that is there twice is refused, and where `labels` names those with labels, another that seems to be one.
    """
    try:
        with TextIOWrapper(open_regular(path), newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            above = int(first.startswith(_ANNOTATED))
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


#: How a line above the columns of labels.csv begins, that lists the classes which the corpus annotates.
_ANNOTATED = "classes:"


def _read_annotated(table: Path) -> tuple[str, ...]:
    """Returns the classes that the first line of a labels.csv lists; () where there is no such line."""
    with table.open(encoding="utf-8-sig") as file:
        first = file.readline(100_000)
    if not first.startswith(_ANNOTATED):
        return ()
    names = tuple(name.strip() for name in re.split("[;|,]", first.removeprefix(_ANNOTATED)) if name.strip())
    if not names:
        raise CorpusError(f"{table}: line 1 lists no class behind {_ANNOTATED} Name those that are annotated.")
    return names


def _files_below(root: Path, suffix: str) -> list[Path]:
    """Returns the files of a suffix in `root` and its folders, in the order of their paths; see `walk_folders`.

    Raises:
      CorpusError: a file has the suffix in capitals; software that reads WFDB does not find it.
    """
    files = [path for _, paths in walk_folders(root, []) for path in paths if path.suffix.lower() == suffix]
    capital = [str(path.relative_to(root)) for path in files if path.suffix != suffix]
    _refuse(root, f"the suffix {suffix} is in capitals in", capital, "Rename them, and correct their headers.")
    return sorted(files)


def _paths_by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns name of a recording → its file; two files of one name are an error."""
    by_name: dict[str, Path] = {}
    for path in paths:
        if (other := by_name.setdefault(path.stem, path)) != path:
            raise CorpusError(f"{path}: another recording of this name is {other}. Rename one.")
    return by_name


def _check_unique(table: Path, names: Sequence[str]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    _refuse(table, "more than one row for", doubled, "Keep one of them.")


def _refuse(where: Path, problem: str, names: Sequence[str], remedy: str) -> None:
    """Raises an error that names the first few of the recordings, if there are any."""
    if names:
        raise CorpusError(f"{where}: {problem} {len(names)} recordings: {first_few(names)}. {remedy}")


def _parse_fold(where: str, text: str) -> int | None:
    """Returns a fold's number; pandas writes 3 as 3.0 where a column has gaps."""
    if not text:
        return None
    if not re.fullmatch(r"[-+]?\d{1,6}(?:\.0)?", text, re.ASCII):
        raise CorpusError(f"{where}: the fold {shorten(text)} is no integer of up to six digits. Correct it.")
    return int(text.removesuffix(".0"))


def _codes(where: str, text: str, separators: str) -> tuple[str, ...]:
    """Returns `split_codes` of a cell."""
    try:
        return split_codes(text, separators)
    except ValueError as error:
        raise CorpusError(f"{where}: {error}. Correct it.") from error
