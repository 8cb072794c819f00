"""Philips Sierra XML, 1.03 to 1.04 → its contents."""

from __future__ import annotations

import base64
from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, cut_calibration, leads_in_mv, parse, person, statements
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

KIND = "Philips XML"
_ROOT = "<restingecgdata"


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format; many are in UTF-16."""
    return any(_ROOT.encode(encoding) in head for encoding in ("ascii", "utf-16-le", "utf-16-be"))


def read(path: Path) -> Contents:
    """Reads a file, without its calibration pulse. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

    record, _ = parse(path, KIND, lambda: SierraXMLParser().parse(path))
    (number, compressed, samples), _ = parse(path, KIND, lambda: _describe(path))
    if number != 1:
        raise RecordError(f"{path}: it holds {number} recordings of the rhythm. Export one.")
    if compressed and tuple(lead.label for lead in record.leads[:6]) != LEADS[:6]:
        raise RecordError(
            f"{path}: its compressed leads are not in the order I, II, III, aVR, aVL, aVF. Export it anew."
        )
    expected = sum(len(lead.samples) for lead in record.leads)
    if not compressed and samples != expected:
        raise RecordError(
            f"{path}: it holds {samples} samples and states {expected}: leads would be mixed up. Export it anew."
        )
    leads, rate = leads_in_mv(path, record.leads), float(record.leads[0].sampling_rate)
    return cut_calibration(Contents(leads, rate, **person(record), statements=statements(record)))


def _describe(path: Path) -> tuple[int, bool, int]:
    """Returns how many elements hold rhythms, whether the first is compressed, and its 16-bit samples."""
    from defusedxml import ElementTree

    elements = ElementTree.fromstring(path.read_bytes()).iter()
    rhythms = [one for one in elements if str(one.tag).rpartition("}")[2] == "parsedwaveforms"]
    first = rhythms[0]
    text = first.text or ""
    compression = first.get("compression") or first.get("compressmethod") or ""
    plain = first.get("dataencoding") == "Plain"
    samples = len(text.replace(",", " ").split()) if plain else len(base64.b64decode("".join(text.split()))) // 2
    return len(rhythms), compression.lower() not in ("", "uncompressed", "none"), samples
