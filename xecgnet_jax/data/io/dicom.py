"""DICOM waveform → its contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xecgnet_jax.data.io.hospital import STORED, Contents, leads_in_mv, parse, person, statements
from xecgnet_jax.errors import RecordError

KIND = "DICOM waveform"
#: Transfer syntaxes that store what they hold as it is; a deflated file of 1 MB may take gigabytes.
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


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
    groups, _ = parse(path, KIND, lambda: _describe(data))
    rhythm = [at for at, (label, _, _) in enumerate(groups) if "MEDIAN" not in label]
    usable = [at for at in rhythm if groups[at][1] in (len(STORED), 12)]
    notes: tuple[str, ...] = ()
    if not usable:
        found = ", ".join(str(groups[at][1]) for at in rhythm) or "none"
        raise RecordError(f"{path}: no group of 12 or 8 leads; its groups have {found}. Export all leads as one.")
    chosen = max(usable, key=lambda at: groups[at][2])
    if len(usable) > 1:
        if any(groups[at][0] for at in usable):
            raise RecordError(f"{path}: it holds several recordings of the rhythm. Export one.")
        notes = (f"the longest of {len(usable)} recordings without a name in it",)
    group = data.WaveformSequence[chosen]
    shifted, _ = parse(
        path, KIND, lambda: [channel for channel in group.ChannelDefinitionSequence if _is_shifted(channel)]
    )
    if shifted:
        raise RecordError(f"{path}: {len(shifted)} of its leads begin at another time than the others. Export it anew.")
    data.WaveformSequence = [group]
    record, _ = parse(path, KIND, lambda: DICOMWaveformParser()._parse_dataset(data, path))
    rate = float(record.raw_metadata["multiplex_groups"][0]["sampling_frequency"])
    leads = leads_in_mv(path, record.leads)
    return Contents(leads, rate, **person(record), statements=statements(record), notes=notes)


def _is_shifted(channel: Any) -> bool:
    """Whether a channel states a time skew, a sample skew or an offset."""
    return any(float(channel.get(f"Channel{name}") or 0) for name in ("TimeSkew", "SampleSkew", "Offset"))


def _describe(data: Any) -> list[tuple[str, int, int]]:
    """Returns label, channels and samples of each group of waveforms."""
    return [
        (
            str(group.get("MultiplexGroupLabel") or "").strip().upper(),
            int(group.get("NumberOfWaveformChannels") or 0),
            int(group.get("NumberOfWaveformSamples") or 0),
        )
        for group in data.get("WaveformSequence") or []
    ]
