"""A CSV table with a column per lead → its signal.

The standard library's reader does the parsing: rows of strings are wanted, to say which cell of which line is wrong,
and to count the cells of every row. A data frame would guess at types and fill in what is missing.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np

from xecgnet_jax.data.io.clock import NUMBER, Clock, Step
from xecgnet_jax.data.io.wfdb_header import MILLIVOLTS
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

#: What may stand between cells, and is looked for in the first line.
DELIMITERS = ";\t,"

#: Rows that are turned into numbers at once: 20 seconds at 500 Hz.
BLOCK: int = 10_000

#: A table is one of leads if its first line names so many of them.
FEWEST_LEADS: int = 3

#: mV, beyond which a number is no voltage, whatever the recorder.
LARGEST: float = 1e9

#: The first line of a table of leads is shorter than this, in bytes.
LONGEST_LINE: int = 65_536

#: A lead's column: `II`, `lead II`, `II (mV)`, `v1 [µV]`.
COLUMN = re.compile(r"(?:(?:lead|ecg)[ _-]?)?(?P<lead>[a-z]+[1-6]?)\s*(?:[\[(](?P<units>\S+)[\])])?", re.IGNORECASE)

#: Digits in threes: 1,234 may be a thousand or one and a bit.
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")

#: Names of columns that count time, if they rise evenly.
CLOCK = re.compile(r"(?:t|time|seconds|sec|ms|milliseconds)\s*(?:[ _]?[\[(]?(?:s|sec|seconds|ms|msec)[\])]?)?", re.I)


@dataclass(frozen=True, eq=False)
class Table:
    """What a table says.

    Attributes:
      signal: [T, 12] float64, mV, leads in the order of `LEADS`.
      ignored: names of the columns that are no leads.
      step: by how much its column of time rises from row to row; None where there is none that rises evenly.
    """

    signal: np.ndarray
    ignored: tuple[str, ...]
    step: Step | None


def names_leads(path: Path) -> bool:
    """Whether the first line of a file names leads: it is a recording, not a table about recordings."""
    try:
        with path.open("rb") as file:
            first = file.read(LONGEST_LINE)
    except OSError:
        return False
    try:
        lines = first.decode(_encoding(first), errors="replace").splitlines()
        return bool(lines) and _first_row(lines[0])[1] >= FEWEST_LEADS
    except csv.Error:
        return False


def read_table(path: Path, *, units: str, longest: int) -> Table:
    """Reads a table with a line of names and a row per sample.

    Args:
      path: UTF-8, UTF-16 with its mark, or Latin-1; cells between `,`, `;` or tabs; decimals with `.`, or with `,`
        where that stands between no cells. Leads are found by name in any case and order.
      units: of all leads: mV, uV or V.
      longest: samples beyond which the recording is refused.

    Raises:
      RecordError: the file cannot be read without guessing: a lead is missing or doubled, a cell is missing or no
        number or no voltage, a row has more or fewer cells than the first line, its units are others.
    """
    try:
        with path.open("rb") as file:
            encoding = _encoding(file.read(LONGEST_LINE))
        with path.open(encoding=encoding, newline="") as text:
            return _table(path, text, units, longest)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except (csv.Error, UnicodeError) as error:
        raise RecordError(f"{path}: is no CSV table ({error}). Write it anew.") from error


def _table(path: Path, text: TextIO, units: str, longest: int) -> Table:
    header = text.readline(LONGEST_LINE)
    delimiter, _ = _first_row(header)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    columns = _lead_columns(path, names, units)
    clock_at = next((at for at, name in enumerate(names) if CLOCK.fullmatch(name)), None)
    rows = _rows(path, text, delimiter, len(names))
    blocks: list[np.ndarray] = []
    clock, comma = Clock(), False
    while block := list(islice(rows, BLOCK)):
        if not blocks:
            comma = delimiter != "," and _has_decimal_comma(path, block, columns)
        if clock_at is not None:
            clock.add([row[clock_at] for _, row in block])
        blocks.append(_millivolts(path, block, columns, names, comma, units))
        if sum(map(len, blocks)) > longest:
            raise RecordError(f"{path}: more than {longest} rows, too long for one ECG. Cut it into pieces.")
    if not blocks:
        raise RecordError(f"{path}: names leads, but has no row of samples. Write one row per sample.")
    return Table(
        signal=np.concatenate(blocks),
        ignored=tuple(name or "(unnamed)" for at, name in enumerate(names) if at not in columns),
        step=clock.step(),
    )


def _rows(path: Path, text: TextIO, delimiter: str, cells: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the names, with the numbers of their lines; empty lines are refused but at the end."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    empty = None
    for row in reader:
        line = reader.line_num + 1
        if not any(cell.strip() for cell in row):
            empty = empty or line
            continue
        if empty is not None:
            raise RecordError(f"{path}: line {empty} is empty, and rows follow. Remove it, or fill it in.")
        if len(row) != cells:
            is_split = delimiter == "," and len(row) > cells
            hint = " Decimals with a comma need ; or tabs between cells." if is_split else ""
            raise RecordError(
                f"{path}: line {line} has {len(row)} cells, the first line has {cells}. Correct it.{hint}"
            )
        yield line, row


def _encoding(content: bytes) -> str:
    """How a file is written that begins so. Most are ASCII; a `µV` may be written in UTF-8 or Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(content)  # which minds no character cut at the end
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _first_row(line: str) -> tuple[str, int]:
    """The delimiter with which a line names most leads, and how many."""
    counts = {mark: len(_leads_of(next(csv.reader([line], delimiter=mark), []))) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: counts[mark])
    return best, counts[best]


def _lead_of(name: str) -> tuple[str | None, str | None]:
    """(which of `LEADS`, the units behind it) of a column's name; (None, None) for any other column."""
    match = COLUMN.fullmatch(name.strip())
    lead = next((lead for lead in LEADS if match and lead.lower() == match["lead"].lower()), None)
    return (lead, match["units"]) if match and lead else (None, None)


def _leads_of(names: list[str]) -> set[str]:
    return {lead for lead, _ in map(_lead_of, names) if lead}


def _lead_columns(path: Path, names: list[str], units: str) -> list[int]:
    """Where each of `LEADS` is."""
    leads = [_lead_of(name) for name in names]
    found = [lead for lead, _ in leads]
    shown = ", ".join(name[:30] or "(unnamed)" for name in names[:20]) or "(nothing)"
    missing = [lead for lead in LEADS if lead not in found]
    doubled = [lead for lead in LEADS if found.count(lead) > 1]
    if missing or doubled:
        problems = [f"no column {', '.join(missing)}"] * bool(missing)
        problems += [f"more than one column {', '.join(doubled)}"] * bool(doubled)
        raise RecordError(
            f"{path}: the table has {' and '.join(problems)}; its first line is: {shown}. "
            "It must name the twelve standard leads, each once."
        )
    for lead, stated in leads:
        factor = None if lead is None or stated is None else MILLIVOLTS.get(stated.lower(), np.nan)
        if factor is not None and factor != MILLIVOLTS[units.lower()]:
            raise RecordError(f"{path}: the column of lead {lead} says {stated}, --units says {units}. Correct one.")
    return [found.index(lead) for lead in LEADS]


def _has_decimal_comma(path: Path, rows: list[tuple[int, list[str]]], columns: list[int]) -> bool:
    """Whether numbers are written 0,12. The first block shows it, and all others must keep to it."""
    with_comma = [row[at].strip() for _, row in rows for at in columns if "," in row[at]]
    if not with_comma:
        return False
    if all(THOUSANDS.fullmatch(cell) for cell in with_comma):
        raise RecordError(
            f"{path}: {with_comma[0]!r} may be a thousand and more, or have decimals. Write it without commas."
        )
    return True


def _millivolts(
    path: Path, rows: list[tuple[int, list[str]]], columns: list[int], names: list[str], comma: bool, units: str
) -> np.ndarray:
    """[rows, 12] float64 mV of the leads' cells."""
    cells = [[row[at].strip() for at in columns] for _, row in rows]
    if comma:
        cells = [[_pointed(cell) for cell in row] for row in cells]
    wrong = np.array([[NUMBER.fullmatch(cell) is None for cell in row] for row in cells])
    if wrong.any():
        place, cell = _first(wrong, rows, columns, names)
        what = f"{cell[:30]!r} is no number" if cell.strip() else "an empty cell"
        raise RecordError(
            f"{path}: {place}: {what}. "
            "Cut such rows off or fill them in; a value made up here would pass for a measurement."
        )
    with np.errstate(over="ignore"):
        values = np.array([[float(cell) for cell in row] for row in cells]) * MILLIVOLTS[units.lower()]
    wrong = np.abs(values) > LARGEST
    if wrong.any():
        place, cell = _first(wrong, rows, columns, names)
        raise RecordError(
            f"{path}: {place}: {cell[:30]!r} {units} is no voltage, it is beyond {LARGEST:g} mV. "
            "Correct the cell, cut such rows off, or give other --units."
        )
    return values


def _first(
    wrong: np.ndarray, rows: list[tuple[int, list[str]]], columns: list[int], names: list[str]
) -> tuple[str, str]:
    """(line and column, text) of the first cell that is wrong."""
    row, lead = np.argwhere(wrong)[0]
    line, written = rows[row]
    return f"line {line}, column {names[columns[lead]]}", written[columns[lead]]


def _pointed(cell: str) -> str:
    """0,12 → 0.12; a point among commas makes it no number."""
    return "" if "." in cell else cell.replace(",", ".")
