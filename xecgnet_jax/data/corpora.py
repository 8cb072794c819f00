"""A folder → the kind of its corpus, its recordings, labels, patients and folds."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from xecgnet_jax.data.code15 import list_exams
from xecgnet_jax.data.io.fields import MOST_CODES, parse_age, parse_sex
from xecgnet_jax.data.io.formats import format_of
from xecgnet_jax.data.io.hdf5 import HDF5, UNSAID
from xecgnet_jax.data.io.hospital import recording_name
from xecgnet_jax.data.io.walk import walk_folders
from xecgnet_jax.data.io.wfdb import read_header
from xecgnet_jax.data.labels import CPSC2018, strip_decimals
from xecgnet_jax.data.listing import (
    ANNOTATED,
    LEAVE_OUT,
    OF_WFDB,
    Asked,
    Corpus,
    Entry,
    Gap,
    Listing,
    check_unique,
    codes_of,
    files_below,
    lost_of,
    parse_fold,
    paths_by_name,
    read_table,
    refuse,
)
from xecgnet_jax.errors import CorpusError, RecordError

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
    kind, list_entries = OPENERS[found[0]] if found else ("challenge", _challenge_entries)
    if rate_of_files and kind != "ptbxl":
        raise CorpusError(f"{root}: has each recording at one rate only. Leave out --rate-of-files.")
    listing = list_entries(root, Asked(rate_of_files, hdf5))
    entries = listing.entries if kind == "hdf5" else sorted(listing.entries, key=lambda entry: entry.id)
    lost = lost_of(listing.gaps, skip=skip_lost and bool(entries))
    if not entries:
        raise CorpusError(f"{root}: holds no recordings of a known corpus. Looked for: {KNOWN_FOLDERS}.")
    refuse(root, "no Unicode text are names or codes of", [ascii(e.id) for e in entries if not _is_text(e)], "Rename.")
    return Corpus(
        kind=kind,
        root=root,
        entries=tuple(entries),
        rate_of_files=rate_of_files,
        lost=lost,
        hdf5=hdf5,
        annotated=listing.annotated,
        together=listing.together,
        samples=listing.samples,
    )


def _is_text(entry: Entry) -> bool:
    """Whether name, path and codes can be written: file names may be any bytes."""
    try:
        "".join([entry.id, str(entry.path), entry.patient or "", *entry.codes]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_annotated(table: Path) -> tuple[str, ...]:
    """Returns the classes that the first line of a labels.csv lists; () where there is no such line."""
    with table.open(encoding="utf-8-sig") as file:
        first = file.readline(100_000)
    if not first.startswith(ANNOTATED):
        return ()
    names = tuple(name.strip() for name in re.split("[;|,]", first.removeprefix(ANNOTATED)) if name.strip())
    if not names:
        raise CorpusError(f"{table}: line 1 lists no class behind {ANNOTATED} Name those that are annotated.")
    return names


def read_reference(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Reads CPSC2018's REFERENCE.csv, recording → its one to three codes in the table's order, or refuses it."""
    path = Path(path)
    columns = ("First_label", "Second_label", "Third_label")
    rows = read_table(path, ("Recording", "First_label"), labels=columns)
    codes: dict[str, tuple[str, ...]] = {}
    for line, row in enumerate(rows, start=2):
        where = f"{path}: line {line}"
        found = [(column, code) for column in columns for code in codes_of(where, row.get(column) or "", "[;|]")]
        for column, code in found:
            if not CPSC2018.classes_of([code]):
                known = "Known are 1 to 9, and the names and codes of the nine classes"
                raise CorpusError(f"{where}: {column} is {code[:40]!r}. {known}.")
        codes[row["Recording"]] = tuple(code for _, code in found)
    check_unique(path, [row["Recording"] for row in rows])
    refuse(path, "no label in the row of", [name for name, found in codes.items() if not found], "Add one.")
    return codes


def _cpsc_entries(root: Path, asked: Asked) -> Listing:
    """Returns the `.mat` files that are there. The table may list more: parts of the corpus are common."""
    codes = read_reference(root / "REFERENCE.csv")
    paths = paths_by_name(files_below(root, ".mat"))
    unlisted = [name for name in paths if name not in codes]
    refuse(root / "REFERENCE.csv", "no row for", unlisted, "Use the table of these recordings.")
    return Listing([Entry(name, path, codes[name]) for name, path in paths.items()])


def _challenge_entries(root: Path, asked: Asked) -> Listing:
    paths = paths_by_name(files_below(root, ".hea"))
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
    refuse(root, "no line #Dx: in the header of", unlabeled, "Write a labels.csv (docs/data.md).")
    headless = [path.stem for path in files_below(root, ".mat") if path.stem not in paths]
    refuse(root, "no header (.hea) beside the signal file of", headless, f"Looked for: {KNOWN_FOLDERS}.")
    return Listing(entries)


#: Rates of PTB-XL's files in Hz, the highest first → their folder, and the column of its table that names them.
_PTBXL_FILES: dict[int, tuple[str, str]] = {500: ("records500", "filename_hr"), 100: ("records100", "filename_lr")}


def _ptbxl_entries(root: Path, asked: Asked) -> Listing:
    rate = asked.rate_of_files
    table = root / "ptbxl_database.csv"
    there = [possible for possible, (folder, _) in _PTBXL_FILES.items() if (root / folder).is_dir()]
    if rate not in (0, *_PTBXL_FILES):
        raise CorpusError(f"{root}: PTB-XL has no files of {rate} Hz. Give --rate-of-files 500 or 100.")
    folder, column = _PTBXL_FILES[rate or (there or [500])[0]]
    columns = ("ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", column)
    entries = [_ptbxl_entry(root, table, row, folder, column) for row in read_table(table, columns)]
    check_unique(table, [entry.id for entry in entries])
    headers = set(files_below(root / folder, ".hea"))
    absent = [entry.id for entry in entries if entry.path not in headers]
    others = [f"or give --rate-of-files {other}" for other in there if _PTBXL_FILES[other][0] != folder]
    remedy = ", ".join(["Complete the download", *others, *([LEAVE_OUT] if len(absent) < len(entries) else [])])
    gap = Gap(table, f"no file in {folder}/ for", absent, f"{remedy}.")
    return Listing([entry for entry in entries if entry.path in headers], [gap])


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
        fold=parse_fold(where, row["strat_fold"]),
        age=parse_age(row["age"]),
        sex={"0": "M", "1": "F"}.get(strip_decimals(row["sex"])),
    )


def _csv_entries(root: Path, asked: Asked) -> Listing:
    table = root / "labels.csv"
    rows = read_table(table, ("labels",), labels=("labels",))
    if rows and not {"id", "file"} & rows[0].keys():
        raise CorpusError(f"{table}: no column id or file. Name each recording, or its path in this folder.")
    paths = name_recordings(root)
    by_file = {path.relative_to(root).as_posix(): name for name, path in paths.items()}
    names = [by_file.get(row["file"], row["file"]) if "file" in row else row["id"] for row in rows]
    check_unique(table, names)
    fileless = [name for name in names if name not in paths]
    rowless = sorted(set(paths) - set(names))
    gaps = [
        Gap(table, "no recording (.hea, or a hospital's file) for", fileless, f"Restore the file, {LEAVE_OUT}."),
        Gap(table, "no row for", rowless, f"Add the row, {LEAVE_OUT}."),
    ]
    entries = [
        Entry(
            id=name,
            path=paths[name],
            codes=codes_of(f"{table}: id {name}", row["labels"], "[;|,]"),
            patient=strip_decimals(row.get("patient", "")) or None,
            fold=parse_fold(f"{table}: id {name}", row.get("fold", "")),
            age=parse_age(row.get("age", "")),
            sex=parse_sex(row.get("sex", "")),
        )
        for name, row in zip(names, rows, strict=True)
        if name in paths
    ]
    return Listing(entries, gaps, _read_annotated(table))


def name_recordings(root: Path) -> dict[str, Path]:
    """Returns name → file of the WFDB records and the files of hospitals below a folder, sorted by path.

    The name is the file's without a known suffix, or, where another has the same, its path in the folder, likewise.
    """
    headers = files_below(root, ".hea")
    described = {path.with_suffix("") for path in headers}
    others = [
        path
        for _, files in walk_folders(root, [])
        for path in files
        if not (path.suffix in OF_WFDB and path.with_suffix("") in described) and format_of(path) is not None
    ]
    found = sorted([*headers, *others])
    times = Counter(map(recording_name, found))
    names: dict[str, Path] = {}
    for path in found:
        own = recording_name(path)
        name = own if times[own] == 1 else path.with_name(own).relative_to(root).as_posix()
        if (other := names.setdefault(name, path)) != path:
            raise CorpusError(f"{path}: another recording of this name is {other}. Rename one.")
    return names


#: The table that marks a corpus → its kind and the function that lists its recordings.
OPENERS: dict[str, tuple[str, Callable[[Path, Asked], Listing]]] = {
    "ptbxl_database.csv": ("ptbxl", _ptbxl_entries),
    "REFERENCE.csv": ("cpsc2018", _cpsc_entries),
    "labels.csv": ("wfdb-csv", _csv_entries),
    "exams.csv": ("hdf5", list_exams),
}
