"""HL7 annotated ECG (aECG) → its contents."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from xecgnet_jax.data.io.fields import MILLIVOLTS
from xecgnet_jax.data.io.hospital import (
    Contents,
    cut_calibration,
    is_beat,
    leads_in_mv,
    number,
    parse,
    person,
    statements,
)
from xecgnet_jax.data.io.xml import check_tags, root_name
from xecgnet_jax.errors import RecordError

KIND = "HL7 aECG"
#: Characters of whole and decimal numbers in `digits`.
_DIGITS = b"0123456789+-.eE \t\r\n"


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    return root_name(head) == "AnnotatedECG"


def read(path: Path) -> Contents:
    """Reads a file, without a calibration pulse. Raises RecordError where it cannot vouch for the signal."""
    check_tags(path, KIND)
    record, _ = parse(path, KIND, lambda: _checked_parser()().parse(path))
    rate = record.raw_metadata["rhythm_time"]["sampling_rate_exact"]
    contents = Contents(leads_in_mv(path, record.leads), rate, **person(record), statements=statements(record))
    return cut_calibration(contents)


@cache
def _checked_parser() -> type[Any]:
    """Returns ecgdatakit's parser, but for the series that it reads, which is chosen here."""
    from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser

    class CheckedParser(HL7aECGParser):
        def _select_series(self, root: Element, file_path: Path) -> tuple[Element, Element | None]:
            return _rhythm(file_path, root), super()._select_series(root, file_path)[1]  # which may hold statements

    return CheckedParser


def _rhythm(path: Path, root: Element) -> Element:
    """Returns the one series of the rhythm, after a look at its times, leads and numbers."""
    rhythms = [one for one in root.findall("component/series") if not is_beat(_code(path, one))]
    if len(rhythms) != 1 or len(sets := rhythms[0].findall("component/sequenceSet")) != 1:
        raise RecordError(f"{path}: it holds no recording of the rhythm, or several. Export one.")
    sequences = [(_code(path, one), one) for one in sets[0].findall("component/sequence")]
    if sum(code.startswith("TIME_") for code, _ in sequences) != 1:
        raise RecordError(f"{path}: its leads have several times, or none. Export it anew.")
    for code, sequence in sequences:
        if code.startswith("TIME_"):
            increment = _only(path, code, _only(path, code, sequence, "value"), "increment")
            number(path, "the increment of time", increment.get("value"))
        elif "_ECG_LEAD_" in code:
            _check_lead(path, code, _only(path, code, sequence, "value"))
    return rhythms[0]


def _check_lead(path: Path, code: str, value: Element) -> None:
    """Refuses what the parser would take for 0 or a default, or not look at."""
    digits = _only(path, code, value, "digits")
    if len(digits) or (digits.text or "").encode().translate(None, _DIGITS):
        raise RecordError(f"{path}: {_lead(code)} has digits that are no numbers. Export it anew.")
    if value.find("scale") is not None:
        number(path, f"the scale of {_lead(code)}", _only(path, code, value, "scale").get("value"))
    if value.find("origin") is None:
        return
    origin = _only(path, code, value, "origin")
    zero, unit = number(path, f"the origin of {_lead(code)}", origin.get("value")), (origin.get("unit") or "").strip()
    if zero and unit.lower() not in MILLIVOLTS:
        raise RecordError(f"{path}: the origin of {_lead(code)} is not in volts. Export it anew.")


def _only(path: Path, code: str, element: Element, name: str) -> Element:
    """Returns the one child of a name."""
    found = element.findall(name)
    if len(found) != 1:
        raise RecordError(f"{path}: {_lead(code)} has {len(found)} elements {name} and must have one. Export it anew.")
    return found[0]


def _lead(code: str) -> str:
    """Returns the name of a sequence, for errors: a code may hold anything."""
    name = code.rpartition("_ECG_LEAD_")[2]
    return f"lead {name}" if name.isalnum() and len(name) < 8 else "a sequence"


def _code(path: Path, element: Element) -> str:
    """Returns the code of a series or sequence in capitals, "" where it has none."""
    if element.find("code") is None:
        return ""
    return (_only(path, "", element, "code").get("code") or "").strip().upper()
