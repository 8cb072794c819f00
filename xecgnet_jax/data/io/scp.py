"""SCP-ECG → its contents."""

from __future__ import annotations

import struct
from pathlib import Path

from xecgnet_jax.data.io.hospital import Contents, leads_in_mv, parse, person, statements
from xecgnet_jax.errors import RecordError

KIND = "SCP-ECG"
#: Bytes before section 0, of a section's header, and of a pointer to a section.
_BEFORE, _HEADER, _POINTER = 6, 16, 10


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format: section 0 with a pointer to itself."""
    if len(head) < 32:
        return False
    size, section, length = struct.unpack_from("<IxxHI", head, 2)
    itself, at = struct.unpack_from("<H", head, 22)[0], struct.unpack_from("<I", head, 28)[0]
    whole = length >= 26 and (length - _HEADER) % _POINTER == 0 and size >= _BEFORE + length
    return section == 0 and whole and itself == 0 and at == 7


def read(path: Path) -> Contents:
    """Reads a file. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

    record, _ = parse(path, KIND, lambda: SCPECGParser().parse(path))
    if not record.raw_metadata["checksum_valid"]:
        raise RecordError(f"{path}: a checksum (CRC) is not that of its data: it was changed or damaged.")
    if any(lead.annotations.get("start_sample") for lead in record.leads):
        raise RecordError(f"{path}: its leads do not begin at the same time. Export it anew.")
    return Contents(leads_in_mv(path, record.leads), _rate(path), **person(record), statements=statements(record))


def _rate(path: Path) -> float:
    """Returns the rate in Hz of section 6, which states whole µs between samples: 1,667 are 599.88 Hz."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 10)[0]
    for at in range(_BEFORE + _HEADER, _BEFORE + length - _POINTER + 1, _POINTER):
        section, _, begin = struct.unpack_from("<HII", data, at)
        if section == 6:
            return 1e6 / struct.unpack_from("<H", data, begin - 1 + _HEADER + 2)[0]
    raise RecordError(f"{path}: it has no rhythm data (section 6).")
