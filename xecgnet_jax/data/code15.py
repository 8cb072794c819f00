"""A folder of HDF5 files with exams.csv, as CODE-15 % is published → its recordings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from xecgnet_jax.data.io.fields import parse_age
from xecgnet_jax.data.io.hdf5 import read_contents
from xecgnet_jax.data.listing import (
    LEAVE_OUT,
    Asked,
    Entry,
    Gap,
    Listing,
    check_unique,
    files_below,
    read_table,
    refuse,
)
from xecgnet_jax.errors import CorpusError

#: Columns of exams.csv that are no findings, though they may be True or False.
_NO_CODES = frozenset({"exam_id", "age", "patient_id", "trace_file", "is_male", "death", "normal_ecg"})
#: True and False as people and spreadsheets write them.
_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def list_exams(root: Path, asked: Asked) -> Listing:
    """Reads exams.csv as CODE-15 % has it: columns of True and False are codes; files lie in the folder itself."""
    table = root / "exams.csv"
    rows = read_table(table, ("exam_id", "trace_file"))
    check_unique(table, [row["exam_id"] for row in rows])
    columns = [name for name in (rows[0] if rows else ()) if name not in _NO_CODES]
    flags = [name for name in columns if _is_flag(table, name, rows)]
    by_id = {row["exam_id"]: row for row in rows}
    names = sorted({row["trace_file"] for row in rows})
    if odd := [name for name in names if Path(name).name != name or name.startswith(".")]:
        raise CorpusError(f"{table}: trace_file {odd[0][:60]!r} is no name of a file. Restore the table.")
    files = {path.name: path for path in files_below(root, ".hdf5") if path.parent == root and path.name in names}
    contents = {path: read_contents(path, asked.hdf5) for path in files.values()}
    entries = [
        _exam(by_id[name], path, row, flags)
        for path, held in contents.items()
        for row, name in enumerate(held.ids)
        if name in by_id and by_id[name]["trace_file"] == path.name
    ]
    there = Counter(entry.id for entry in entries)
    refuse(root, "more than one tracing for", [name for name, number in there.items() if number > 1], "Keep one.")
    rowless = [name for held in contents.values() for name in held.ids if name not in by_id]
    absent = [name for name in by_id if name not in there]
    gaps = [
        Gap(table, "no tracing in the files for", absent, f"Restore them, {LEAVE_OUT}."),
        Gap(table, "no row for", rowless, f"Add the rows, {LEAVE_OUT}."),
    ]
    samples = sum(contents[entry.path].samples for entry in entries)
    together = max((held.together for held in contents.values()), default=1)
    return Listing(entries, gaps, together=together, samples=samples)


def _is_flag(table: Path, name: str, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column says of each exam whether it has a finding.

    Raises:
      CorpusError: it says so of some only.
    """
    values = [row[name].strip().lower() for row in rows]
    if set(values) <= _FLAGS.keys():
        return True
    if {"true", "false"} & set(values) or {""} != set(values) <= _FLAGS.keys() | {""}:
        odd = next(at for at, value in enumerate(values) if value not in _FLAGS)
        problem = f"line {odd + 2}, column {name[:40]!r}: {values[odd][:40]!r} is neither True nor False"
        raise CorpusError(f"{table}: {problem}, as the column has elsewhere. Correct it, or remove the column.")
    return False


def _flag(text: str) -> bool | None:
    """Returns what a cell says, None where it is neither True nor False."""
    return _FLAGS.get(text.strip().lower())


def _exam(row: Mapping[str, str], path: Path, number: int, flags: Sequence[str]) -> Entry:
    is_male = _flag(row.get("is_male", ""))
    return Entry(
        id=row["exam_id"],
        path=path,
        codes=tuple(name for name in flags if _flag(row[name])),
        patient=row.get("patient_id") or None,
        age=parse_age(row.get("age", "")),
        sex=None if is_male is None else "M" if is_male else "F",
        row=number,
    )
