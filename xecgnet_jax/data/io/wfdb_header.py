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

from xecgnet_jax.errors import RecordError

#: Millivolts per unit. Case does not count: "mv" is common and nobody records megavolts.
MILLIVOLTS: dict[str, float] = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}

#: A real header has a few kilobytes. Anything much larger is another file under a wrong name.
LARGEST_HEADER: int = 1_000_000

RECORD_LINE = re.compile(
    r"(?P<name>\S+?)(?:/(?P<segments>\d+))?\s+(?P<signals>\d{1,4})"
    r"(?:\s+(?P<rate>\d{1,9}(?:\.\d{0,9})?(?:[eE][-+]?\d{1,2})?)(?:/\S*)?(?:\s+(?P<length>\d{1,12}))?)?(?:\s.*)?"
)
FORMAT_FIELD = re.compile(
    r"(?P<format>\d{1,3})(?:x(?P<frame>\d{1,6}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,9}))?"
)
GAIN_FIELD = re.compile(
    r"(?P<gain>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)"
    r"(?:\((?P<baseline>[-+]?\d{1,10})\))?(?:/(?P<units>\S+))?"
)
INTEGER = re.compile(r"[-+]?\d{1,10}")
COMMENT = re.compile(r"#\s*(?P<key>\w+)\s*:\s*(?P<value>.*)")


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
    signal_lines: tuple[str, ...] = ()  #: the lines that describe the signals, for `parse_signal_line`


@dataclass(frozen=True)
class SignalLine:
    """The way in which one signal is stored."""

    lead: str  #: the description field, which names the lead
    file: str  #: name of the signal file, in the header's own folder
    format: int  #: WFDB storage format, for example 16
    offset: int  #: bytes before the first sample
    gain: float  #: converter steps per millivolt
    baseline: int  #: converter value of 0 mV
    checksum: int  #: sum of all samples modulo 65536


def split_codes(text: str, separators: str) -> tuple[str, ...]:
    """Returns the codes of a cell or line, without the quotes and brackets that programs write around them."""
    codes = (code.strip().strip("'\"[](){}").strip() for code in re.split(separators, text))
    return tuple(code for code in codes if code and code.lower() != "nan")


def parse_age(text: str) -> float | None:
    """Returns years, or None for anything but a number from 0 to 130 ("NaN", "Unknown", PTB-XL's 300)."""
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= 130 else None


def parse_sex(text: str) -> str | None:
    """Returns "F", "M" or None. Bare numbers are None: corpora disagree on what 0 and 1 mean."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.strip().lower())


def parse_header(path: Path) -> Header:
    """Reads the header at `path`: its record line and comments; signal lines are only collected.

    Raises:
      RecordError: the file is missing, is no header, or describes more than one segment.
    """
    # Not `splitlines`, which breaks lines at letters of other encodings, too.
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", _read_text(path))]
    fields = [line for line in lines if line and not line.startswith("#")]
    record = RECORD_LINE.fullmatch(fields[0]) if fields else None
    restore = "Restore the file from its corpus."
    if not fields:
        raise RecordError(f"{path}: the header is empty. {restore}")
    if record is None:
        wanted = "WFDB record line (name, number of signals, rate, length)"
        raise RecordError(f"{path}: the first line is no {wanted}: {fields[0][:80]!r}. {restore}")
    if record["segments"]:
        remedy = "Join them into one, for example with WFDB's `xform`."
        raise RecordError(f"{path}: the record has several segments. {remedy}")
    if len(fields) - 1 < (count := int(record["signals"])):
        found = f"{len(fields) - 1} are described"
        raise RecordError(f"{path}: the record line promises {count} signals, {found}. {restore}")
    comments: dict[str, str] = {}  # by lower-case key; values of a key that comes twice are joined by commas
    for match in filter(None, map(COMMENT.fullmatch, lines)):
        key = match["key"].lower()
        comments[key] = f"{comments[key]},{match['value']}" if key in comments else match["value"]
    return Header(
        id=path.stem,
        rate=float(record["rate"]) if record["rate"] else None,
        length=int(record["length"] or 0) or None,  # 0 stands for unknown
        codes=split_codes(comments["dx"], r"[,;|\s]+") if "dx" in comments else None,
        age=parse_age(comments.get("age", "")),
        sex=parse_sex(comments.get("sex", "")),
        signal_lines=tuple(fields[1 : count + 1]),
    )


def parse_signal_line(path: Path, line: str) -> SignalLine:
    """Parses one signal line of the header at `path`.

    Raises:
      RecordError: a field is missing or malformed, the signal is uncalibrated, its units are unknown, its file lies
        elsewhere, or it is stored in a way that is not supported.
    """
    fields = line.split(maxsplit=8)
    if len(fields) < 9:
        raise RecordError(f"{path}: the signal line {line[:80]!r} is incomplete. Restore the header.")
    file, storage, gain, _resolution, zero, _first, checksum, _block, lead = fields
    stored, scale = FORMAT_FIELD.fullmatch(storage), GAIN_FIELD.fullmatch(gain)
    steps = float(scale["gain"]) if scale else 0.0
    units = (scale and scale["units"]) or "mV"  # The format's own rule: units left out are millivolts.
    if Path(file).name != file or "\\" in file or file.startswith((".", "~")):
        problem = f"the signal file {file!r} is not a plain name in the header's own folder. Put it there."
    elif not INTEGER.fullmatch(zero) or not INTEGER.fullmatch(checksum):
        problem = f"{zero!r} or {checksum!r} should be an integer. Restore the header."
    elif stored is None:
        problem = f"the storage format {storage!r} is none of WFDB's. Restore the header."
    elif int(stored["frame"] or 1) != 1 or int(stored["skew"] or 0) != 0:
        problem = f"the storage format {storage!r} has several samples per frame, or a skew, which are not supported. "
        problem += "Rewrite the record with WFDB's `xform`."
    elif scale is None:
        problem = f"the gain {gain!r} is not of the form 1000(0)/mV. Correct the header."
    elif steps == 0 or not math.isfinite(steps):
        problem = f"the gain {gain!r} says that the signal is not calibrated, so its millivolts are unknown. "
        problem += "Write the gain into the header."
    elif units.lower() not in MILLIVOLTS:
        problem = f"the units {units!r} are unknown. Known are mV, µV (uV) and V."
    else:
        offset, baseline = int(stored["offset"] or 0), int(scale["baseline"] or zero)
        per_mv = steps / MILLIVOLTS[units.lower()]
        return SignalLine(lead, file, int(stored["format"]), offset, per_mv, baseline, int(checksum) % 65536)
    raise RecordError(f"{path}: lead {lead}: {problem}")


def _read_text(path: Path) -> str:
    """Returns the header's text. Most are ASCII; a `µV` may be written in UTF-8 or Latin-1."""
    try:
        if path.stat().st_size > LARGEST_HEADER:
            raise RecordError(f"{path}: too large for a header. Restore the file from its corpus.")
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
