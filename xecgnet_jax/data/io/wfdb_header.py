"""The text of a WFDB header (`.hea`) → its fields, strictly.

WFDB replaces missing fields by defaults (250 Hz, 200 ADC units per mV). Such a guess would make wrong millivolts, so
here every field that the signal depends on must be written. The format:
https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from xecgnet_jax.data.io.fields import DECIMAL, MILLIVOLTS, parse_age, parse_sex, split_codes
from xecgnet_jax.data.io.wfdb_signals import BLOCKS, FLAC, Storage
from xecgnet_jax.errors import RecordError, shorten
from xecgnet_jax.files import read_bytes

#: A real header has a few kilobytes. Anything much larger is another file under a wrong name.
LARGEST_HEADER: int = 1_000_000

RESTORE = "Restore the file from its corpus."

#: Converter steps per mV that a recorder may have; a step of more than 1 V, or of less than 1 fV, is a wrong gain.
GAINS: tuple[float, float] = (1e-3, 1e12)

FORMAT_FIELD = re.compile(
    r"(?P<format>\d{1,3})(?:x(?P<frame>\d{1,6}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,9}))?", re.ASCII
)
GAIN_FIELD = re.compile(rf"(?P<gain>{DECIMAL})(?:\((?P<baseline>[-+]?\d{{1,10}})\))?(?:/(?P<units>\S+))?", re.ASCII)
INTEGER = re.compile(r"[-+]?\d{1,10}", re.ASCII)
COMMENT = re.compile(r"#\s*(?P<key>\w{1,40})\s*:\s*(?P<value>.*)")

#: The fields of a line.
Fields: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Header:
    """The content of a header."""

    id: str  #: name of the record: the header's file name without its suffix
    rate: float | None  #: Hz; None where the header does not say
    length: int | None  #: samples, likewise
    #: Diagnostic codes of `#Dx:` in the file's order, or None where there is no such line.
    codes: tuple[str, ...] | None
    age: float | None  #: years, or None
    sex: str | None  #: "F", "M" or None
    #: The fields of the lines that describe the signals, for `parse_signal_line`: nine, or fewer where some lack.
    signal_lines: tuple[Fields, ...] = ()


@dataclass(frozen=True)
class SignalLine:
    """The way in which one signal is stored."""

    lead: str  #: the description field, which names the lead
    file: str  #: name of the signal file, in the header's own folder
    storage: Storage  #: how its file stores it
    first: int  #: first value, of which format 8 stores the differences
    gain: float  #: converter steps per millivolt
    baseline: int  #: converter value of 0 mV
    checksum: int  #: sum of all samples modulo 65536


def split_fields(line: str, most: int) -> list[str]:
    """Returns the fields of a line between blanks and tabs, at most so many; the last one may have blanks."""
    return re.split(r"[ \t]+", line, maxsplit=most - 1)


def signal_file_names(header: Path) -> list[str]:
    """Returns the plain names of the signal files that a header names; none of one that is damaged, or no header."""
    if header.suffix != ".hea":
        return []
    try:
        names = dict.fromkeys(line[0] for line in parse_header(header).signal_lines)
    except RecordError:  # which is told when the recording is read
        return []
    return [name for name in names if Path(name).name == name]


def parse_header(path: Path) -> Header:
    """Reads the header at `path`: its record line and comments; signal lines are only collected.

    Raises:
      RecordError: the file is missing, is no header, or describes more than one segment.
    """
    # Not `splitlines`, which breaks lines at letters of other encodings, too.
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", _read_text(path))]
    fields = [line for line in lines if line and not line.startswith("#")]
    if not fields:
        raise RecordError(f"{path}: the header is empty. {RESTORE}")
    count, rate, length = _parse_record_line(path, fields[0])
    if len(fields) - 1 < count:
        found = f"{len(fields) - 1} are described"
        raise RecordError(f"{path}: the record line promises {count} signals, {found}. {RESTORE}")
    comments: dict[str, list[str]] = {}  # by lower-case key; values of a key that comes twice are joined by commas
    for match in filter(None, map(COMMENT.fullmatch, lines)):
        comments.setdefault(match["key"].lower(), []).append(match["value"])
    joined = {key: ",".join(values) for key, values in comments.items()}
    try:
        codes = split_codes(joined["dx"], r"[,;|\s]+") if "dx" in joined else None
    except ValueError as error:
        raise RecordError(f"{path}: #Dx: lists {error}. Correct it.") from error
    return Header(
        id=path.stem,
        rate=rate,
        length=length,
        codes=codes,
        age=parse_age(joined.get("age", "")),
        sex=parse_sex(joined.get("sex", "")),
        signal_lines=tuple(tuple(split_fields(line, 9)) for line in fields[1 : count + 1]),
    )


def _parse_record_line(path: Path, line: str) -> tuple[int, float | None, int | None]:
    """Returns the number of signals, and rate and length where the line states them; length 0 stands for unknown.

    What is there and malformed is refused. A line that is none is not quoted: the file may be any other.
    """
    name, count, rate, length = [*split_fields(line, 5), "", "", "", ""][:4]
    if not re.fullmatch(r"\d{1,4}", count, re.ASCII):
        wanted = "WFDB record line (name, number of signals, rate, length)"
        raise RecordError(f"{path}: the first line is no {wanted}. {RESTORE}")
    if re.search(r"/\d+$", name):
        remedy = "Join them into one, for example with WFDB's `xform`."
        raise RecordError(f"{path}: the record has several segments. {remedy}")
    hertz = rate.partition("/")[0]  # behind it stands the frequency of a counter
    if rate and not re.fullmatch(DECIMAL, hertz, re.ASCII):
        raise RecordError(f"{path}: the sampling rate {shorten(rate)} is no number. {RESTORE}")
    if length and not re.fullmatch(r"\d{1,12}", length, re.ASCII):
        raise RecordError(f"{path}: the number of samples {shorten(length)} is no whole number. {RESTORE}")
    return int(count), float(hertz) if rate else None, int(length or 0) or None


def parse_storage(path: Path, line: Fields) -> Storage:
    """Returns how the file of a signal stores it.

    Raises:
      RecordError: the line lacks these fields, the file lies elsewhere, or it is stored in a way that is not supported.
    """
    file, storage = (*line, "", "")[:2]
    found = FORMAT_FIELD.fullmatch(storage)
    if Path(file).name != file or "\\" in file or file.startswith((".", "~")) or not file.isprintable():
        problem = f"the signal file {shorten(file)} is not a plain name in the header's own folder. Put it there."
    elif found is None or int(found["format"]) not in {*BLOCKS, *FLAC}:
        problem = f"the storage format {shorten(storage)} is none of WFDB's. Restore the header."
    elif int(found["frame"] or 1) != 1 or int(found["skew"] or 0) != 0:
        problem = f"the storage format {storage!r} has several samples per frame, or a skew, which are not supported. "
        problem += "Rewrite the record with WFDB's `xform`."
    else:
        return Storage(int(found["format"]), int(found["offset"] or 0))
    raise RecordError(f"{path}: {problem}")


def parse_signal_line(path: Path, line: Fields) -> SignalLine:
    """Parses one signal line of the header at `path`.

    Raises:
      RecordError: as `parse_storage`, or a field is missing or malformed, the signal is uncalibrated, its units are
        unknown, or its gain is no recorder's.
    """
    if len(line) < 9:
        raise RecordError(f"{path}: the signal line {shorten(' '.join(line), 80)} is incomplete. Restore the header.")
    storage = parse_storage(path, line)
    file, _, gain, _resolution, zero, first, checksum, _block, lead = line
    scale = GAIN_FIELD.fullmatch(gain)
    steps = float(scale["gain"]) if scale else 0.0
    units = (scale and scale["units"]) or "mV"  # The format's own rule: units left out are millivolts.
    per_mv = steps / MILLIVOLTS.get(units.lower(), math.nan)
    if not INTEGER.fullmatch(zero) or not INTEGER.fullmatch(checksum):
        problem = f"{shorten(zero)} or {shorten(checksum)} should be an integer. Restore the header."
    elif storage.format == 8 and not INTEGER.fullmatch(first):
        problem = f"{shorten(first)} should be its first value, an integer. Restore the header."
    elif scale is None:
        problem = f"the gain {shorten(gain)} is not of the form 1000(0)/mV. Correct the header."
    elif steps == 0 or not math.isfinite(steps):
        problem = f"the gain {shorten(gain)} says that the signal is not calibrated, so its millivolts are unknown. "
        problem += "Write the gain into the header."
    elif units.lower() not in MILLIVOLTS:
        problem = f"the units {shorten(units)} are unknown. Known are mV, µV (uV) and V."
    elif not GAINS[0] <= abs(per_mv) <= GAINS[1]:
        problem = f"the gain {shorten(gain)} is that of no recorder. Correct the header."
    else:
        baseline, start = int(scale["baseline"] or zero), int(first) if storage.format == 8 else 0
        return SignalLine(lead, file, storage, start, per_mv, baseline, int(checksum) % 65536)
    raise RecordError(f"{path}: lead {lead[:30]}: {problem}")


def _read_text(path: Path) -> str:
    """Returns the header's text. Most are ASCII; a `µV` may be written in UTF-8 or Latin-1."""
    try:
        content = read_bytes(path, LARGEST_HEADER)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
