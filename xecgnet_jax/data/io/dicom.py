"""DICOM waveform → its contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from xecgnet_jax.data.io.hospital import STORED, Contents, is_beat, leads_in_mv, parse, person, statements
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

KIND = "DICOM waveform"
#: Transfer syntaxes that store what they hold as it is; a deflated file of 1 MB may take gigabytes.
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")

#: What a channel's status may be but "OK"; other words are not repeated.
_STATUS = frozenset({"TEST DATA", "DISCONNECTED", "QUESTIONABLE", "INVALID", "UNCALIBRATED", "UNZEROED"})


class Group(NamedTuple):
    """What a group of waveforms states: label in capitals, leads, samples, and bytes stated and there."""

    label: str
    channels: int
    samples: int
    stated: int
    stored: int


def recognizes(head: bytes) -> bool:
    """Whether a file begins like this format."""
    return head[128:132] == b"DICM"


def read(path: Path) -> Contents:
    """Reads a file. Raises RecordError where it cannot vouch for the signal."""
    import pydicom
    from ecgdatakit.parsing.parsers.dicom_waveform import DICOMWaveformParser

    # Inside `parse`, as all that looks at an element: its value is decoded there, and quoted where it is odd.
    syntax, _ = parse(
        path, KIND, lambda: str(pydicom.filereader.read_file_meta_info(str(path)).get("TransferSyntaxUID", ""))
    )
    if syntax not in _PLAIN:
        raise RecordError(f"{path}: it is compressed, or does not say how it is stored. Export it uncompressed.")
    data, _ = parse(path, KIND, lambda: pydicom.dcmread(str(path)))
    groups, _ = parse(path, KIND, lambda: [_describe(group) for group in data.get("WaveformSequence") or []])
    chosen, notes = _choose(path, groups)
    group, about = data.WaveformSequence[chosen], groups[chosen]
    if about.stored != about.stated:
        problem = f"its data have {about.stored} bytes, and {about.stated} are stated for its leads and samples"
        raise RecordError(f"{path}: {problem}. Export it anew.")
    channels, _ = parse(path, KIND, lambda: [_channel(one) for one in group.get("ChannelDefinitionSequence") or []])
    if len(channels) != about.channels:
        raise RecordError(f"{path}: it describes {len(channels)} leads and holds {about.channels}. Export it anew.")
    if shifted := sum(is_shifted for is_shifted, _ in channels):
        raise RecordError(f"{path}: {shifted} of its leads begin at another time than the others. Export it anew.")
    data.WaveformSequence = [group]
    record, _ = parse(path, KIND, lambda: DICOMWaveformParser()._parse_dataset(data, path))
    rate = float(record.raw_metadata["multiplex_groups"][0]["sampling_frequency"])
    pairs = zip(record.leads, channels, strict=True)
    marked = tuple(f"{lead.label} ({', '.join(marks)})" for lead, (_, marks) in pairs if lead.label in LEADS and marks)
    leads = leads_in_mv(path, record.leads)
    return Contents(leads, rate, **person(record), statements=statements(record), notes=notes, marked=marked)


def _choose(path: Path, groups: list[Group]) -> tuple[int, tuple[str, ...]]:
    """Returns which group is the rhythm of all leads, and what to say of that."""
    rhythm = [at for at, group in enumerate(groups) if not is_beat(group.label)]
    usable = [at for at in rhythm if groups[at].channels in (len(STORED), 12)]
    if not usable:
        found = ", ".join(str(groups[at].channels) for at in rhythm) or "none"
        raise RecordError(f"{path}: no group of 12 or 8 leads; its groups have {found}. Export all leads as one.")
    if len(usable) > 1 and any(groups[at].label for at in usable):
        raise RecordError(f"{path}: it holds several recordings of the rhythm. Export one.")
    notes = (f"the longest of {len(usable)} recordings without a name in it",) if len(usable) > 1 else ()
    return max(usable, key=lambda at: groups[at].samples), notes


def _describe(group: Any) -> Group:
    """Returns what a group of waveforms states, in a form that quotes nothing."""
    channels, samples = (int(group.get(f"NumberOfWaveform{of}") or 0) for of in ("Channels", "Samples"))
    stated = channels * samples * int(group.get("WaveformBitsAllocated") or 0) // 8
    label = str(group.get("MultiplexGroupLabel") or "").strip().upper()
    # Values have an even length: behind an odd number of bytes stands one more.
    return Group(label, channels, samples, stated + stated % 2, len(group.get("WaveformData") or b""))


def _channel(channel: Any) -> tuple[bool, list[str]]:
    """Returns whether a channel states a time skew, sample skew or offset, and what it says against its signal."""
    shifted = any(float(channel.get(f"Channel{name}") or 0) for name in ("TimeSkew", "SampleSkew", "Offset"))
    float(channel.get("ChannelBaseline") or 0)  # the parser takes 0 for what is no number
    status = channel.get("ChannelStatus") or []
    words = {str(word).strip().upper() for word in ([status] if isinstance(status, str) else status)} - {"", "OK"}
    marks = sorted({word.lower() if word in _STATUS else "not OK" for word in words})
    source = (channel.get("ChannelSourceSequence") or [{}])[0]
    modified = channel.get("ChannelSourceModifiersSequence") or source.get("ChannelSourceModifiersSequence")
    return shifted, marks + (["of a modified source"] if modified else [])
