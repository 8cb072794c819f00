"""Philips Sierra XML, 1.03 to 1.04 → its contents."""

from __future__ import annotations

from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, cut_calibration, leads_in_mv, parse, person, statements

KIND = "Philips XML"
_ROOT = "<restingecgdata"


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format; many are in UTF-16."""
    return any(_ROOT.encode(encoding) in head for encoding in ("ascii", "utf-16-le", "utf-16-be"))


def read(path: Path) -> Contents:
    """Reads a file, without its calibration pulse. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

    record, _ = parse(path, KIND, lambda: SierraXMLParser().parse(path))
    leads, rate = leads_in_mv(path, record.leads), float(record.leads[0].sampling_rate)
    return cut_calibration(Contents(leads, rate, **person(record), statements=statements(record)))
