"""EDF and EDF+ → its contents."""

from __future__ import annotations

from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, leads_in_mv, parse, person
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

KIND = "EDF"
#: Part of what the parser says → what is wrong.
_REFUSED = {
    "is -1": "was not closed by the device that wrote it",
    "truncated": "is cut off",
    "gaps between": "has gaps between its records",
    "after the last data record": "has bytes behind its last record",
    "header size field": "states a wrong size of its header",
    "invalid range": "has a signal without a scale",
}


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    return head[:8] == b"0       " and len(head) >= 256 and head[236:256].strip().isascii()


def read(path: Path) -> Contents:
    """Reads a file. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.edf import EDFParser

    record, said = parse(path, KIND, lambda: EDFParser().parse(path))
    for part, problem in _REFUSED.items():
        if any(part in str(one.message) for one in said):
            raise RecordError(f"{path}: it {problem}. Export it anew.")
    about = record.raw_metadata
    if record.file_format.version == "EDF+D" and "record_onsets" not in about:  # which is there where all have one
        raise RecordError(f"{path}: not all of its records say when they begin, so there may be gaps. Export it.")
    ours = [lead for lead in record.leads if lead.label in LEADS]
    if not ours:
        raise RecordError(f"{path}: none of its signals is one of the twelve leads. Name them as I, II, V1.")
    exact = about.get("exact_sampling_rates", {})
    rates = {exact.get(lead.label, float(lead.sampling_rate)) for lead in ours}
    if len(rates) != 1:
        found = " and ".join(f"{rate:g}" for rate in sorted(rates))
        raise RecordError(f"{path}: its leads have {found} Hz, and must have one sampling rate.")
    return Contents(leads_in_mv(path, record.leads, may_turn=True), rates.pop(), **person(record))
