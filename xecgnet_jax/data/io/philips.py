"""Philips Sierra XML, 1.03 to 1.04 → its contents."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import numpy as np

from xecgnet_jax.data.io.hospital import Contents, cut_calibration, leads_in_mv, number, parse, person, statements
from xecgnet_jax.data.io.xml import check_tags, root_name, texts
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

KIND = "Philips XML"
#: Numbers that the signal depends on: attributes of it, and elements beside it, which old versions have instead.
_NUMBERS = (
    "durationperchannel",
    "samplespersecond",
    "samplingrate",
    "resolution",
    "signalresolution",
    "signaloffset",
    "numberofleads",
    "numberchannelsallocated",
)
_ELEMENTS = frozenset({*_NUMBERS, "signalsigned"})
#: Inputs of the devices, which may have more than leads.
_INPUTS = 16
#: LZW codes have 10 bits; the first 256 are bytes, and the last ends the data.
_CODE_BITS, _BYTES, _END = 10, 256, 1023


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format; many are in UTF-16."""
    return root_name(head) == "restingecgdata"


def read(path: Path) -> Contents:
    """Reads a file, without its calibration pulse. Raises RecordError where it cannot vouch for the signal."""
    from ecgdatakit.parsing.parsers.sierra_xml import SierraXMLParser

    check_tags(path, KIND)
    record, _ = parse(path, KIND, lambda: SierraXMLParser().parse(path))  # which refuses entities
    root, _ = parse(path, KIND, lambda: fromstring(path.read_bytes()))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # without its namespace
    rhythms = list(root.iter("parsedwaveforms"))
    if len(rhythms) != 1:
        raise RecordError(f"{path}: it holds {len(rhythms)} recordings of the rhythm. Export one.")
    rate = _check_numbers(path, rhythms[0], root.find("dataacquisition/signalcharacteristics"))
    _check_samples(path, rhythms[0], record.leads)
    leads, marked = leads_in_mv(path, record.leads), _marked(root)
    return cut_calibration(Contents(leads, rate, **person(record), statements=statements(record), marked=marked))


def _check_numbers(path: Path, rhythm: Element, beside: Element | None) -> float:
    """Returns the rate in Hz; refuses what the parser would round, or take for 0 or a default."""
    elements = texts(path, beside, _ELEMENTS) if beside is not None else {}
    found: dict[str, float] = {}
    for name in _NUMBERS:
        for text in (rhythm.get(name), elements.get(name)):
            if text:
                found.setdefault(name, number(path, name, text))
    for name in {"signaloffset", "numberofleads", "numberchannelsallocated"} & found.keys():
        if not found[name].is_integer():
            raise RecordError(f"{path}: {name} is no whole number. Export it anew.")
    signed = rhythm.get("signalsigned") or elements.get("signalsigned") or "true"
    if signed.strip().lower() not in ("true", "false"):
        raise RecordError(f"{path}: signalsigned is neither True nor False. Export it anew.")
    labels = (rhythm.get("leadlabels") or "").split()
    if labels and found.get("numberofleads", len(labels)) != len(labels):
        raise RecordError(f"{path}: it names {len(labels)} leads, and states another number. Export it anew.")
    return found.get("samplespersecond") or found.get("samplingrate", 0.0)


def _check_samples(path: Path, rhythm: Element, leads: list[Any]) -> None:
    """Refuses data that are not exactly the leads' samples: the parser slices them by the numbers of the file."""
    text, each = rhythm.text or "", len(leads[0].samples)
    if not _is_compressed(rhythm):
        plain = rhythm.get("dataencoding") == "Plain"
        stored = [len(text.split()) if plain else len(base64.b64decode("".join(text.split()))) / 2]
        expected, fits = each * len(leads), stored == [each * len(leads)]
    elif tuple(lead.label for lead in leads[:6]) != LEADS[:6]:
        raise RecordError(
            f"{path}: its compressed leads are not in the order I, II, III, aVR, aVL, aVF. Export it anew."
        )
    else:
        stored, _ = parse(path, KIND, lambda: _chunk_lengths(base64.b64decode("".join(text.split()))))
        # Devices with 16 inputs write them all; those behind the leads show nothing but the calibration pulse.
        expected, fits = each, len(stored) in (len(leads), _INPUTS) and set(stored) == {each}
    if not fits:
        found = " and ".join(f"{one:g}" for one in sorted(set(stored)))
        raise RecordError(
            f"{path}: it holds {len(stored)} parts of {found} samples and states {len(leads)} leads, so {expected}: "
            "leads would be mixed up. Export it anew."
        )


def _is_compressed(rhythm: Element) -> bool:
    """Whether the samples are compressed, as the parser decides it."""
    if (rhythm.get("compressflag") or "true").strip().lower() in ("false", "no", "f", "0"):
        return False
    method = (rhythm.get("compression") or "").strip() or (rhythm.get("compressmethod") or "").strip()
    return method.lower() not in ("", "uncompressed", "none")


def _chunk_lengths(data: bytes) -> list[float]:
    """Returns the samples in each chunk of XLI data, one a lead, without decoding them.

    A chunk is its size in 4 bytes, 4 more bytes, and LZW codes of bytes, two of which are a sample.
    """
    lengths, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        lengths.append(_lzw_length(data[at + 8 : at + 8 + size]) / 2)
        at += 8 + size
    return lengths


def _lzw_length(packed: bytes) -> int:
    """Returns the bytes that LZW codes stand for: code 256 + k is the string of the k-th code and one byte more."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    codes = bits[: len(bits) // _CODE_BITS * _CODE_BITS].reshape(-1, _CODE_BITS) @ (1 << np.arange(_CODE_BITS)[::-1])
    codes = codes[: np.argmax(codes == _END)] if _END in codes else codes
    of_code = [1] * _BYTES
    for code in codes[: _END - _BYTES].tolist():
        of_code.append(of_code[code] + 1)
    return int(np.array(of_code)[codes].sum())


def _marked(root: Element) -> tuple[str, ...]:
    """Returns the leads that Philips' own measurement says are off, out of range or full of artifacts."""
    found = []
    for lead in root.iter("leadmeasurement"):
        state, words = lead.find("leadqualitystates"), []
        if state is None or lead.get("leadname") not in LEADS:
            continue
        if "".join(text for inop in state.iter("inops") for text in inop.itertext()).strip():
            words.append("off")
        if (state.get("overrangeflag") or "").lower() == "true":
            words.append("out of range")
        if any((one.get("level") or "").lower() == "severe" for one in state):
            words.append("severe artifacts")
        if words:
            found.append(f"{lead.get('leadname')} ({', '.join(words)})")
    return tuple(found)
