"""GE MUSE XML → its contents."""

from __future__ import annotations

import re
from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, leads_in_mv, parse, person, statements
from xecgnet_jax.errors import RecordError

KIND = "GE MUSE XML"
_BASE = re.compile(rb"<Sample(Base|Exponent)>\s*([-+.\deE]{1,20})\s*</Sample")


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    return re.search(rb"<RestingECG[\s>]", head) is not None


def read(path: Path) -> Contents:
    """Reads a file. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.ge_muse_xml import GEMuseXMLParser

    record, said = parse(path, KIND, lambda: GEMuseXMLParser().parse(path))
    if record.raw_metadata.get("checksum_valid") is False:
        raise RecordError(f"{path}: the checksum of a lead is not that of its samples: it was changed or damaged.")
    if any("Additional rhythm waveform" in str(one.message) for one in said):
        raise RecordError(f"{path}: it holds several recordings of the rhythm. Export one.")
    moved = {"FirstSampleBaseline", "LeadOffsetFirstSample", "LeadTimeOffset"}
    if shifted := [lead.label for lead in record.leads if moved & lead.annotations.keys()]:
        raise RecordError(
            f"{path}: lead {', '.join(shifted)} begins at another time or baseline than the others, in a way that GE "
            "does not document. Export it anew."
        )
    if any(not _is_whole(kind, value) for kind, value in _BASE.findall(path.read_bytes())):
        raise RecordError(f"{path}: its sampling rate is no whole number of Hz, which MUSE does not write.")
    leads = leads_in_mv(path, record.leads)
    return Contents(leads, float(record.leads[0].sampling_rate), **person(record), statements=statements(record))


def _is_whole(kind: bytes, value: bytes) -> bool:
    """Whether a sample base is a whole number, and an exponent 0."""
    try:
        return float(value) == (round(float(value)) if kind == b"Base" else 0)
    except (ValueError, OverflowError):
        return False
