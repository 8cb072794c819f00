"""Small files of the formats of hospitals, written from a signal by other means than they are read."""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from xecgnet_jax.data.leads import LEADS

#: What must reach no output.
NAME, PATIENT = "Zzyzx", "PID-4711"
STEP = 0.005  #: mV of every writer


def counts_of(signal: np.ndarray) -> np.ndarray:
    return np.round(signal / STEP).astype(np.int16)


def columns(signal: np.ndarray, leads: Sequence[str]) -> list[np.ndarray]:
    return [counts_of(signal[:, LEADS.index(lead)]) for lead in leads]


def write_muse(
    path: Path,
    signal: np.ndarray,
    rate: float,
    leads: Sequence[str] = LEADS,
    *,
    base: str = "",
    encoding: str = "ISO-8859-1",
    **change: str,
) -> Path:
    """Changes are to the last lead; `base` is what stands for the elements of the rate."""
    base = base or f"<SampleBase>{rate:g}</SampleBase><SampleExponent>0</SampleExponent>"
    parts = []
    for lead, counts in zip(leads, columns(signal, leads), strict=True):
        data = counts.astype("<i2").tobytes()
        fields = {
            "LeadByteCountTotal": str(len(data)),
            "LeadTimeOffset": "0",
            "LeadSampleCountTotal": str(len(counts)),
            "LeadAmplitudeUnitsPerBit": f"{1000 * STEP:g}",
            "LeadAmplitudeUnits": "MICROVOLTS",
            "LeadOffsetFirstSample": "0",
            "FirstSampleBaseline": "0",
            "LeadSampleSize": "2",
            "LeadDataCRC32": str(zlib.crc32(data)),
            "LeadID": lead,
            "WaveFormData": base64.b64encode(data).decode(),
        } | (change if lead == leads[-1] else {})
        inside = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if text)
        parts.append(f"<LeadData>{inside}</LeadData>")
    path.write_text(
        f"""<?xml version="1.0" encoding="{encoding}"?><RestingECG><MuseInfo><MuseVersion>9</MuseVersion></MuseInfo>
<PatientDemographics><PatientID>{PATIENT}</PatientID><PatientLastName>{NAME}</PatientLastName><PatientAge>61</PatientAge>
<AgeUnits>YEARS</AgeUnits><Gender>FEMALE</Gender></PatientDemographics><Diagnosis><DiagnosisStatement>
<StmtFlag>ENDSLINE</StmtFlag><StmtText>SINUS RHYTHM</StmtText></DiagnosisStatement></Diagnosis><Waveform>
<WaveformType>Rhythm</WaveformType>{base}{"".join(parts)}
</Waveform></RestingECG>""",
        encoding=encoding,
    )
    return path


def pack_lzw(raw: bytes) -> bytes:
    """Returns LZW codes of 10 bits, the last of which is 1023."""
    table, codes, word = {bytes([one]): one for one in range(256)}, [], b""
    for one in raw:
        longer = word + bytes([one])
        if longer not in table:
            codes.append(table[word])
            if len(table) < 1023:
                table[longer] = len(table)
            longer = bytes([one])
        word = longer
    bits = "".join(f"{code:010b}" for code in [*codes, table[word], 1023])
    size = -(-len(bits) // 8)
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def pack_xli(inputs: Sequence[np.ndarray]) -> list[bytes]:
    """Returns Philips' XLI chunks of leads in the standard order, the last four limb leads as residuals."""
    chunks = []
    stored = [one.astype(np.int64) for one in inputs]
    if len(stored) > 5:
        one, two, three = stored[:3]
        stored[2] = two - one - three
        stored[3] = -stored[3] - (one + two) // 2
        stored[4] = (one - three) // 2 - stored[4]
        stored[5] = (two + three) // 2 - stored[5]
    for samples in stored:
        # The first two samples are as they are. Then comes what the line through two misses, plus 64: the first in the
        # chunk's head, so that the last place is left over.
        missed = 2 * samples[1:-1] - samples[:-2] - samples[2:]
        words = np.concatenate([samples[:2], missed[1:] + 64, [64]]).astype(">i2")
        packed = pack_lzw(words.view(np.uint8).reshape(-1, 2).T.tobytes())  # all high bytes, then all low ones
        chunks.append(struct.pack("<IHh", len(packed), 1, missed[0]) + packed)
    return chunks


def write_philips(path: Path, signal: np.ndarray, rate: float, leads: Sequence[str] = LEADS, **change: str) -> Path:
    inputs = [c.astype("<i2") for c in columns(signal, leads)]
    xli = change.get("compression") == "XLI"
    data = base64.b64encode(b"".join(pack_xli(inputs) if xli else [c.tobytes() for c in inputs])).decode()
    attributes = {
        "dataencoding": "Base64",
        "compression": "",
        "numberofleads": str(len(leads)),
        "leadlabels": " ".join(leads),
        "samplespersecond": f"{rate:g}",
        "resolution": f"{1000 * STEP:g}",
        "durationperchannel": f"{1000 * len(signal) / rate:g}",
        "signaloffset": "0",
        "signalsigned": "True",
    } | change
    inside = " ".join(f'{name}="{text}"' for name, text in attributes.items() if text)
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-16"?><restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>PhilipsECG</documenttype><documentversion>1.04</documentversion></documentinfo>
<patient><generalpatientdata><patientid>{PATIENT}</patientid><name><lastname>{NAME}</lastname></name>
<age><years>61</years></age><sex>Female</sex></generalpatientdata></patient>
<waveforms><parsedwaveforms {inside}>{data}</parsedwaveforms></waveforms></restingecgdata>""",
        encoding="utf-16",
    )
    return path


def write_aecg(path: Path, signal: np.ndarray, rate: float, leads: Sequence[str] = LEADS, **change: str) -> Path:
    values = {"scale": f"{1000 * STEP:g}", "unit": "uV", "increment": repr(1 / rate)} | change
    sequences = "".join(
        f"""<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>
<value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/><scale value="{values["scale"]}" unit="{values["unit"]}"/>
<digits>{" ".join(map(str, counts.tolist()))}</digits></value></sequence></component>"""
        for lead, counts in zip(leads, columns(signal, leads), strict=True)
    )
    path.write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?><AnnotatedECG xmlns="urn:hl7-org:v3"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><id root="1"/><effectiveTime><low value="20201231120000"/>
</effectiveTime><componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>
<id extension="{PATIENT}"/><subjectDemographicPerson><name>{NAME}</name><administrativeGenderCode code="F"/>
<birthTime value="19590615"/></subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf>
</timepointEvent></componentOf><component><series><code code="RHYTHM"/><effectiveTime><low value="20201231120000"/>
</effectiveTime><component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS">
<head value="20201231120000"/><increment value="{values["increment"]}" unit="s"/></value></sequence></component>
{sequences}</sequenceSet></component></series></component></AnnotatedECG>""",
        encoding="utf-8",
    )
    return path


#: Numbers of leads in SCP-ECG.
SCP_LEADS = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


def write_scp(
    path: Path, signal: np.ndarray, rate: float, leads: Sequence[str] = LEADS, *, first: int = 1, scale: int = 0
) -> Path:
    def section(number: int, body: bytes) -> bytes:
        body += b"\0" * (len(body) % 2)
        inside = struct.pack("<HIBB6x", number, 16 + len(body), 20, 20) + body
        if number == 0:
            inside = struct.pack("<HIBB", number, 16 + len(body), 20, 20) + b"SCPECG" + body
        return struct.pack("<H", binascii.crc_hqx(inside, 0xFFFF)) + inside

    def tag(number: int, value: bytes) -> bytes:
        return struct.pack("<BH", number, len(value)) + value

    arrays, count = columns(signal, leads), len(signal)
    device = struct.pack("<HHHBB6sBBBBB", 0, 0, 0, 0, 255, b"TEST\0\0", 20, 0xA0, 0, 0, 0) + b"\0" * 17 + b"\0" * 5
    about = tag(0, NAME.encode() + b"\0") + tag(2, PATIENT.encode() + b"\0") + tag(4, struct.pack("<HB", 61, 1))
    about += tag(8, b"\x02") + tag(14, device) + tag(25, struct.pack("<HBB", 2020, 12, 31)) + tag(26, bytes(3))
    definition = struct.pack("<BB", len(leads), 0x04 | len(leads) << 3)
    for at, lead in enumerate(leads):
        start = first if at else 1
        definition += struct.pack("<IIB", start, start + count - 1, SCP_LEADS[lead])
    rhythm = struct.pack("<HHBB", scale or round(1e6 * STEP), round(1e6 / rate), 0, 0)
    rhythm += b"".join(struct.pack("<H", 2 * count) for _ in leads) + b"".join(
        a.astype("<i2").tobytes() for a in arrays
    )
    bodies = {1: section(1, about + tag(255, b"")), 3: section(3, definition), 6: section(6, rhythm)}
    at, pointers = 7 + 16 + 120, [struct.pack("<HII", 0, 136, 7)]
    for number in range(1, 12):
        body = bodies.get(number, b"")
        pointers.append(struct.pack("<HII", number, len(body), at if body else 0))
        at += len(body)
    whole = section(0, b"".join(pointers)) + b"".join(bodies.values())
    whole = struct.pack("<I", 6 + len(whole)) + whole
    path.write_bytes(struct.pack("<H", binascii.crc_hqx(whole, 0xFFFF)) + whole)
    return path


def write_dicom(
    path: Path,
    signal: np.ndarray,
    rate: float,
    leads: Sequence[str] = LEADS,
    *,
    groups: Sequence[tuple[str, Sequence[str], int]] = (),
    syntax: str = "1.2.840.10008.1.2.1",
    padding: int | None = None,
    sensitivity: float | None = 1000 * STEP,
    skew: float = 0.0,
) -> Path:
    """Groups are (label, leads, samples); one of all leads where none are given."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence as Items

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3.4"
    data.PatientName, data.PatientID, data.PatientAge, data.PatientSex = f"{NAME}^A", PATIENT, "061Y", "F"
    items = []
    for label, names, count in groups or [("", leads, len(signal))]:
        group = Dataset()
        group.MultiplexGroupLabel, group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = (
            label,
            len(names),
            count,
        )
        group.SamplingFrequency, group.WaveformBitsAllocated, group.WaveformSampleInterpretation = rate, 16, "SS"
        channels = []
        for name in names:
            source, unit, channel = Dataset(), Dataset(), Dataset()
            source.CodeValue, source.CodingSchemeDesignator, source.CodeMeaning = "1", "99TEST", f"Lead {name}"
            unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "uV", "UCUM", "microvolt"
            channel.ChannelSourceSequence = Items([source])
            if sensitivity is not None:
                channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = sensitivity, 1
                channel.ChannelSensitivityUnitsSequence = Items([unit])
            channel.ChannelBaseline, channel.WaveformBitsStored = 0, 16
            channel.ChannelTimeSkew = skew if name == "V6" else 0
            channels.append(channel)
        group.ChannelDefinitionSequence = Items(channels)
        group.add_new(0x54001010, "OW", np.stack(columns(signal[:count], names), axis=1).astype("<i2").tobytes())
        if padding is not None:
            group.add_new(0x5400100A, "OW", struct.pack("<h", padding))
        items.append(group)
    data.WaveformSequence = Items(items)
    data.save_as(path, enforce_file_format=True)
    return path


def write_edf(path: Path, signal: np.ndarray, rate: float, leads: Sequence[str] = LEADS, **change: str) -> Path:
    from edfio import Edf, EdfAnnotation, EdfSignal, Patient, Recording

    signals = [
        EdfSignal(
            counts * STEP,
            rate,
            label=f"ECG {lead}",
            physical_dimension=change.get("unit", "mV"),
            physical_range=(-32768 * STEP, 32767 * STEP),
            digital_range=(-32768, 32767),
        )
        for lead, counts in zip(leads, columns(signal, leads), strict=True)
    ]
    patient = Patient(code=PATIENT, name=NAME, sex="F", birthdate=date(1959, 6, 15))
    about = {"patient": patient, "recording": Recording(startdate=date(2020, 12, 31))}
    note = [EdfAnnotation(0, None, "begin")]  # which makes it EDF+
    Edf(signals, **about, data_record_duration=len(signal) / rate / 5, annotations=note).write(path)
    return path


WRITERS = {
    "GE MUSE XML": write_muse,
    "Philips XML": write_philips,
    "HL7 aECG": write_aecg,
    "SCP-ECG": write_scp,
    "DICOM waveform": write_dicom,
    "EDF": write_edf,
}
