"""GE MUSE XML → its contents."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from xecgnet_jax.data.io.hospital import Contents, leads_in_mv, number, parse, person, statements
from xecgnet_jax.data.io.xml import check_tags, root_name, texts
from xecgnet_jax.errors import RecordError

KIND = "GE MUSE XML"
_RATE = frozenset({"samplebase", "sampleexponent", "waveformtype"})
#: What must be 0, since GE does not document what else it means.
_BEGIN = {
    "leadtimeoffset": "LeadTimeOffset",
    "leadoffsetfirstsample": "LeadOffsetFirstSample",
    "firstsamplebaseline": "FirstSampleBaseline",
}
_COUNTS = {
    "leadsamplesize": "LeadSampleSize",
    "leadbytecounttotal": "LeadByteCountTotal",
    "leadsamplecounttotal": "LeadSampleCountTotal",
    "leaddatacrc32": "LeadDataCRC32",
}
#: What says that a lead is bad, and how that is told.
_MARKS = {"leadoff": "off", "baselinesway": "baseline sway", "musclenoise": "noise", "excessiveacnoise": "hum"}
_LEAD = frozenset({"leadid", "waveformdata", "leadamplitudeunitsperbit", "leadamplitudeunits"})
_USED = _LEAD | _BEGIN.keys() | _COUNTS.keys() | _MARKS.keys()


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    return root_name(head).lower() == "restingecg"


def read(path: Path) -> Contents:
    """Reads a file. Raises RecordError where it cannot vouch for the signal."""
    check_tags(path, KIND)
    parser = _checked_parser()()
    record, _ = parse(path, KIND, lambda: parser.parse(path))
    if record.raw_metadata.get("checksum_valid") is False:
        raise RecordError(f"{path}: the checksum of a lead is not that of its samples: it was changed or damaged.")
    pairs = list(zip(record.leads, parser.stated, strict=True))
    if shifted := [lead.label for lead, one in pairs if any(number(path, _BEGIN[n], one.get(n), 0) for n in _BEGIN)]:
        raise RecordError(
            f"{path}: lead {', '.join(shifted)} begins at another time or baseline than the others, in a way that GE "
            "does not document. Export it anew."
        )
    marked = tuple(
        f"{lead.label} ({word})"
        for lead, one in pairs
        for name, word in _MARKS.items()
        if one.get(name, "").upper() not in ("", "FALSE", "0")
    )
    leads = leads_in_mv(path, record.leads)
    return Contents(leads, parser.rate, **person(record), statements=statements(record), marked=marked)


@cache
def _checked_parser() -> type[Any]:
    """Returns ecgdatakit's parser, whose tree is looked at before its numbers are rounded and its commas are points."""
    from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser

    class CheckedParser(GEMuseXMLParser):
        rate: float = 0.0
        stated: Sequence[dict[str, str]] = ()

        def _read_waveforms(self, root: Element, record: Any, file_path: Path) -> Any:
            self.rate, self.stated = _check(file_path, root)
            return super()._read_waveforms(root, record, file_path)

    return CheckedParser


def _check(path: Path, root: Element) -> tuple[float, list[dict[str, str]]]:
    """Returns the rate in Hz of the one recording of the rhythm, and what each of its leads states of itself."""
    # A recording without a type is one of the rhythm for the parser.
    waveforms = [(one, texts(path, one, _RATE)) for one in root.findall("Waveform")]
    rhythms = [(one, about) for one, about in waveforms if about.get("waveformtype", "").lower() in ("", "rhythm")]
    if len(rhythms) != 1:
        raise RecordError(f"{path}: it holds {len(rhythms)} recordings of the rhythm. Export one.")
    rhythm, about = rhythms[0]
    rate = number(path, "SampleBase", about.get("samplebase"))
    if not rate.is_integer() or number(path, "SampleExponent", about.get("sampleexponent"), 0):
        raise RecordError(f"{path}: its sampling rate is no whole number of Hz, which MUSE does not write.")
    return rate, [_check_lead(path, one) for one in rhythm.findall("LeadData")]


def _check_lead(path: Path, lead: Element) -> dict[str, str]:
    """Returns what a lead states of itself, after a look at its numbers."""
    found = texts(path, lead, _USED)
    if "leadamplitudeunitsperbit" in found:
        number(path, "LeadAmplitudeUnitsPerBit", found["leadamplitudeunitsperbit"])
    for name, written in _COUNTS.items():
        if not (value := number(path, written, found.get(name), 0)).is_integer() or value < 0:
            raise RecordError(f"{path}: {written} is no whole number. Export it anew.")
    return found
