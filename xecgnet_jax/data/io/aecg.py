"""HL7 annotated ECG (aECG) → its contents."""

from __future__ import annotations

import re
from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, cut_calibration, leads_in_mv, parse, person, statements
from xecgnet_jax.errors import RecordError

KIND = "HL7 aECG"


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    text = head.decode("utf-16", "ignore") if head[:2] in (b"\xff\xfe", b"\xfe\xff") else head.decode("latin-1")
    return re.search(r"<(\w{1,40}:)?AnnotatedECG\b", text) is not None


def read(path: Path) -> Contents:
    """Reads a file, without a calibration pulse. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.hl7_aecg import HL7aECGParser

    record, said = parse(path, KIND, lambda: HL7aECGParser().parse(path))
    if any(
        "only the first is read" in str(one.message) and not re.search("beat|median", str(one.message)) for one in said
    ):
        raise RecordError(f"{path}: it holds several recordings of the rhythm. Export one.")
    rate = record.raw_metadata["rhythm_time"]["sampling_rate_exact"]
    contents = Contents(leads_in_mv(path, record.leads), rate, **person(record), statements=statements(record))
    return cut_calibration(contents)
