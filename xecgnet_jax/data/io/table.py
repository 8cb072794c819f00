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
from io import TextIOWrapper
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TextIO

import numpy as np

from xecgnet_jax.data.io.fields import MILLIVOLTS
from xecgnet_jax.data.io.time_column import NUMBER, TimeColumn, TimeStep
from xecgnet_jax.data.leads import LEADS, MissingLeads, find_leads
from xecgnet_jax.errors import RecordError
from xecgnet_jax.files import open_regular

#: Characters that may separate cells, and are looked for in the first line.
DELIMITERS = ";\t,"

#: Rows that are turned into numbers at once: 20 seconds at 500 Hz.
BLOCK: int = 10_000

#: Bytes of the first line, and characters of any other row, that a table has at most; and the fewest leads that the
#: first line of a table of leads names.
LONGEST_LINE, FEWEST_LEADS = 65_536, 3

#: Characters of a column's name that may be a lead.
LONGEST_NAME: int = 100

#: mV, beyond which a number is no voltage, whatever the recorder.
LARGEST: float = 1e9

#: A lead's column: `II`, `lead II`, `II (mV)`, `v1 [µV]`.
COLUMN = re.compile(r"(?:(?:lead|ecg)[ _-]?)?(?P<lead>[a-z]+[1-6]?)\s*(?:[\[(](?P<units>\S+)[\])])?", re.IGNORECASE)

#: Digits in threes: 1,234 may be a thousand or one and a bit.
THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")

#: Names of columns that count time, if they rise evenly.
TIME = re.compile(r"(?:t|time|seconds|sec|ms|milliseconds)\s*(?:[ _]?[\[(]?(?:s|sec|seconds|ms|msec)[\])]?)?", re.I)

#: Rows of cells with the numbers of their lines.
Rows = list[tuple[int, list[str]]]


@dataclass(frozen=True, eq=False)
class Table:
    """The content of a table."""

    signal: np.ndarray  #: [T, L] float64, mV
    leads: tuple[str, ...]  #: L leads, in the order of `LEADS`
    ignored: tuple[str, ...]  #: names of the columns that are no leads
    #: How much its column of time rises from row to row; None where there is none that rises evenly.
    step: TimeStep | None


def names_leads(path: Path) -> bool:
    """Tells whether the first line of a file names leads: it is a recording, not a table about recordings."""
    try:
        with open_regular(path) as file:
            first = file.read(LONGEST_LINE)
        line, *more = re.split(r"[\r\n]", first.decode(_find_encoding(first), errors="replace"), maxsplit=1)
        return bool(more or len(first) < LONGEST_LINE) and _find_delimiter(line)[1] >= FEWEST_LEADS
    except (OSError, csv.Error):
        return False


def read_table(path: Path, *, units: str, longest: int, missing_leads: MissingLeads = "refuse") -> Table:
    """Reads a table with a line of names and a row per sample.

    Args:
      path: UTF-8, UTF-16 with its mark, or Latin-1; cells between `,`, `;` or tabs; decimals with `.`, or with `,`
        where that separates no cells. Leads are found by name in any case and order.
      units: of all leads: mV, uV or V.
      longest: samples beyond which the recording is refused.
      missing_leads: whether all twelve must be there.

    Raises:
      RecordError: the file cannot be read without guessing: a lead is missing or repeated, a cell is missing or no
        number or no voltage, a row has more or fewer cells than the first line, its units are others.
    """
    try:
        with open_regular(path) as file:
            encoding = _find_encoding(file.read(LONGEST_LINE))
            file.seek(0)
            text = TextIOWrapper(file, encoding=encoding, newline="")
            return _parse(path, text, units, longest, missing_leads)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    except (csv.Error, UnicodeError) as error:
        raise RecordError(f"{path}: is no CSV table ({error}). Write it anew.") from error


def _parse(path: Path, text: TextIO, units: str, longest: int, missing_leads: MissingLeads) -> Table:
    """Reads the table from an open file, block by block."""
    header = text.readline(LONGEST_LINE)
    if len(header) == LONGEST_LINE:
        raise RecordError(f"{path}: its first line is longer than {LONGEST_LINE} characters. Name the leads only.")
    delimiter, _ = _find_delimiter(header)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    leads = _lead_columns(path, names, units, missing_leads)
    columns = list(leads.values())
    time_at = next((at for at, name in enumerate(names) if TIME.fullmatch(name)), None)
    rows = _read_rows(path, text, delimiter, len(names))
    blocks: list[np.ndarray] = []
    time, comma, whole = TimeColumn(), False, True
    while block := list(islice(rows, BLOCK)):
        if whole and delimiter != ",":
            with_comma = [row[at].strip() for _, row in block for at in columns if "," in row[at]]
            comma = bool(with_comma)  # Numbers are written 0,12. All later blocks must keep to it.
            whole = not comma and not any("." in row[at] for _, row in block for at in columns)
            if with_comma and all(map(THOUSANDS.fullmatch, with_comma)):
                problem = f"{with_comma[0]!r} may be a thousand and more, or have decimals"
                raise RecordError(f"{path}: {problem}. Write it without commas.")
        if time_at is not None:
            time.add([row[time_at] for _, row in block])
        blocks.append(_to_millivolts(path, block, columns, names, comma, units))
        if sum(map(len, blocks)) > longest:
            raise RecordError(f"{path}: more than {longest} rows, too long for one ECG. Cut it into pieces.")
    if not blocks:
        raise RecordError(f"{path}: names leads, but has no row of samples. Write one row per sample.")
    ignored = tuple(name[:LONGEST_NAME] or "(unnamed)" for at, name in enumerate(names) if at not in columns)
    return Table(np.concatenate(blocks), tuple(leads), ignored, time.step())


def _read_rows(path: Path, text: TextIO, delimiter: str, cells: int) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows below the names, with the numbers of their lines; refuses empty lines except at the end."""
    length = 0  # characters of the row; in quotes a row may have several lines

    def lines() -> Iterator[str]:
        nonlocal length
        while part := text.readline(LONGEST_LINE):
            length += len(part)
            if length >= LONGEST_LINE:
                raise RecordError(f"{path}: a row is longer than {LONGEST_LINE} characters. Write one row per sample.")
            yield part

    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    empty = None
    for row in reader:
        length, line = 0, reader.line_num + 1
        if not any(cell.strip() for cell in row):
            empty = empty or line
            continue
        if empty is not None:
            raise RecordError(f"{path}: line {empty} is empty, and rows follow. Remove it, or fill it in.")
        if len(row) != cells:
            is_split = delimiter == "," and len(row) > cells
            hint = " Decimals with a comma need ; or tabs between cells." if is_split else ""
            counts = f"has {len(row)} cells, the first line has {cells}"
            raise RecordError(f"{path}: line {line} {counts}. Correct it.{hint}")
        yield line, row


def _find_encoding(content: bytes) -> str:
    """Returns the encoding of a file that begins so. Most are ASCII; a `µV` may be in UTF-8 or Latin-1."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(content)  # accepts a character that is cut off at the end
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def _find_delimiter(line: str) -> tuple[str, int]:
    """Returns the delimiter with which a line names most leads, and how many."""
    names = {mark: next(csv.reader([line], delimiter=mark), []) for mark in DELIMITERS}
    counts = {mark: len({_parse_name(name)[0] for name in found} - {""}) for mark, found in names.items()}
    return max(counts.items(), key=itemgetter(1))


def _parse_name(name: str) -> tuple[str, str | None]:
    """Returns (which of `LEADS`, the units behind it) of a column's name; ("", None) for any other column."""
    match = COLUMN.fullmatch(name.strip()) if len(name) <= LONGEST_NAME else None
    lead = next((lead for lead in LEADS if match and lead.lower() == match["lead"].lower()), "")
    return (lead, match["units"]) if match and lead else ("", None)


def _lead_columns(path: Path, names: list[str], units: str, missing_leads: MissingLeads) -> dict[str, int]:
    """Returns the column of each lead, in the order of `LEADS`."""
    leads = [_parse_name(name) for name in names]
    columns, problem = find_leads([lead for lead, _ in leads], "column", missing_leads)
    if problem:
        shown = ", ".join(name[:30] or "(unnamed)" for name in names[:20]) or "(nothing)"
        wanted = "It must name the twelve standard leads, each once."
        raise RecordError(f"{path}: the table has {problem}; its first line is: {shown}. {wanted}")
    for lead, stated in leads:
        if stated is not None and MILLIVOLTS.get(stated.lower()) != MILLIVOLTS[units.lower()]:
            raise RecordError(f"{path}: the column of lead {lead} says {stated}, --units says {units}. Correct one.")
    return columns


def _to_millivolts(path: Path, rows: Rows, columns: list[int], names: list[str], comma: bool, units: str) -> np.ndarray:
    """Returns [rows, L] float64 mV of the leads' cells."""

    def first(wrong: np.ndarray) -> tuple[str, str]:  # where it is, and what stands there
        row, lead = np.argwhere(wrong)[0]
        line, cells = rows[row]
        return f"{path}: line {line}, column {names[columns[lead]]}", cells[columns[lead]]

    cells = [[row[at].strip() for at in columns] for _, row in rows]
    if comma:  # 0,12 → 0.12; a point among commas makes it no number
        cells = [["" if "." in cell else cell.replace(",", ".") for cell in row] for row in cells]
    if (wrong := np.array([[NUMBER.fullmatch(cell) is None for cell in row] for row in cells])).any():
        place, cell = first(wrong)
        problem = f"{cell[:30]!r} is no number" if cell.strip() else "an empty cell"
        remedy = "Cut such rows off or fill them in; a value made up here would pass for a measurement."
        raise RecordError(f"{place}: {problem}. {remedy}")
    with np.errstate(over="ignore"):
        values = np.array([[float(cell) for cell in row] for row in cells]) * MILLIVOLTS[units.lower()]
    if (wrong := np.abs(values) > LARGEST).any():
        place, cell = first(wrong)
        problem = f"{cell[:30]!r} {units} is no voltage, it is beyond {LARGEST:g} mV"
        raise RecordError(f"{place}: {problem}. Correct the cell, cut such rows off, or give other --units.")
    return values
