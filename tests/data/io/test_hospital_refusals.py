"""Files of hospitals that an attacker, or another program, wrote: what is refused, and what is told of a lead."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests import commands as cli
from tests.data.io.hospital_files import (
    PATIENT,
    STEP,
    WRITERS,
    counts_of,
    pack_lzw,
    pack_xli,
    write_aecg,
    write_dicom,
    write_edf,
    write_muse,
    write_philips,
)
from tests.data.io.test_formats import SIGNAL
from xecgnet_jax import read_recording
from xecgnet_jax.data.io import xml
from xecgnet_jax.data.io.discover import find_recording_files
from xecgnet_jax.data.io.hospital import Contents, cut_calibration
from xecgnet_jax.data.io.philips import _chunk_lengths, _lzw_length
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.pack.audit import format_audit
from xecgnet_jax.errors import ConfigError, RecordError
from xecgnet_jax.files import create_private

SHORT = SIGNAL[:600]


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def rewrite(path: Path, *changes: tuple[str, str]) -> Path:
    """Changes each text where it is first in a file of XML."""
    encoding = "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    text = path.read_text(encoding=encoding)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding=encoding)
    return path


def rewrite_dicom(path: Path, change) -> Path:
    """Changes the first group of waveforms of a file."""
    import pydicom

    data = pydicom.dcmread(path)
    change(data.WaveformSequence[0])
    data.save_as(path)
    return path


# ---- Philips, compressed


def unpack_lzw(packed: bytes) -> bytes:
    """Returns what LZW codes of 10 bits stand for (as sierraecg describes them); 1023 ends them."""
    bits = f"{int.from_bytes(packed, 'big'):0{8 * len(packed)}b}"
    table, found, before = [bytes([one]) for one in range(256)], [], b""
    for at in range(0, len(bits) - 9, 10):
        if (code := int(bits[at : at + 10], 2)) == 1023:
            break
        word = table[code] if code < len(table) else before + before[:1]
        if before and len(table) < 1023:
            table.append(before + word[:1])
        found.append(word)
        before = word
    return b"".join(found)


def unpack_xli(data: bytes) -> list[np.ndarray]:
    """Returns the samples of each chunk; of the first six, limb leads rebuilt from I and II."""
    leads, at = [], 0
    while at < len(data):
        size, first = int.from_bytes(data[at : at + 4], "little"), np.frombuffer(data[at + 6 : at + 8], "<i2")
        raw = unpack_lzw(data[at + 8 : at + 8 + size])
        high, low = np.frombuffer(raw, np.uint8).reshape(2, -1).astype(np.int64)
        words = (256 * high + low).astype(np.int16).astype(np.int64)
        second = -np.concatenate([first, words[2:-1] - 64])  # differences of the differences
        slopes = np.cumsum(np.concatenate([[words[1] - words[0]], second]))
        leads.append(np.concatenate([words[:1], words[0] + np.cumsum(slopes)]))
        at += 8 + size
    one, two, three, right, left, foot = leads[:6]
    leads[2] = two - one - three
    leads[3] = -right - (one + two) // 2
    leads[4] = (one - leads[2]) // 2 - left
    leads[5] = (two + leads[2]) // 2 - foot
    return leads


@pytest.mark.parametrize("name", ["103_mrx", "104_demo", "104_brady_scrubbed"])
def test_real_compressed_philips_files_by_another_decoder(name, shared):
    path = shared / "data/formats" / f"philips_{name}.xml"
    found = read_recording(path).signal
    elements = {one.tag.rpartition("}")[2]: one for one in ET.parse(path).getroot().iter()}
    waveform = elements["parsedwaveforms"]
    step = float(waveform.get("resolution") or elements["signalresolution"].text) / 1000
    wanted = unpack_xli(base64.b64decode(waveform.text))
    for at in range(12):
        np.testing.assert_allclose(found[:, at], wanted[at][: len(found)] * step, atol=1e-6)


def test_compressed_philips_files(tmp_path):
    whole = write_philips(tmp_path / "a", SHORT, 500, compression="XLI")
    np.testing.assert_allclose(read_recording(whole).signal, counts_of(SHORT) * STEP, atol=1e-6)
    inputs = [counts_of(SHORT[:, at]) for at in range(12)]
    idle = [np.zeros(600, np.int16)] * 4
    data = "".join(map(str, (base64.b64encode(b"".join(pack_xli([*inputs, *idle]))).decode(),)))
    sixteen = write_philips(tmp_path / "b", SHORT, 500, compression="XLI")
    sixteen.write_text(re.sub(">[^<]{999,}<", f">{data}<", sixteen.read_text("utf-16")), "utf-16")
    np.testing.assert_allclose(read_recording(sixteen).signal, counts_of(SHORT) * STEP, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"durationperchannel": "1100"}, "holds 12 parts of 600 samples and states 12 leads, so 550"),
        ({"samplespersecond": "250"}, "leads would be mixed up"),
        ({"durationperchannel": "1300"}, "damaged, cut off"),
        ({"numberofleads": "8"}, "names 12 leads, and states another number"),
        ({"numberofleads": "8", "leadlabels": " ".join(LEADS[:8])}, "leads would be mixed up"),
        ({"compressflag": "False"}, "damaged, cut off|leads would be mixed up"),
        ({"leadlabels": " ".join([*LEADS[1::-1], *LEADS[2:]])}, "not in the order I, II, III"),
    ],
)
def test_compressed_philips_files_that_their_numbers_do_not_fit(change, problem, tmp_path):
    with pytest.raises(RecordError, match=problem):
        read_recording(write_philips(tmp_path / "x", SHORT, 500, **{"compression": "XLI"} | change))


def test_lengths_of_lzw_data(tmp_path):
    """Also where a code stands for what it makes itself (a run), where the table is full, and where codes are none."""
    rng = np.random.default_rng(0)
    for raw in (b"a" * 999, bytes(rng.integers(0, 3, 5000, np.uint8)), bytes(rng.integers(0, 256, 5000, np.uint8))):
        assert unpack_lzw(pack_lzw(raw)) == raw and _lzw_length(pack_lzw(raw)) == len(raw)
    with pytest.raises(IndexError):  # which the parser would take for a run
        _lzw_length(int("0001100001" + "0111110100" + "0000", 2).to_bytes(3, "big"))
    assert _chunk_lengths(b"".join(pack_xli([np.arange(20), np.arange(7)]))) == [20, 7]


# ---- numbers, and elements that are there once


@pytest.mark.parametrize(
    ("write", "old", "new", "problem"),
    [
        (write_aecg, '<origin value="0"', '<origin value="zero"', "origin of lead I is no number"),
        (write_aecg, '<origin value="0"', '<origin value="0,5"', "origin of lead I is no number"),
        (write_aecg, '<origin value="0"', "<origin", "origin of lead I is no number"),
        (
            write_aecg,
            '<origin value="0" unit="uV"',
            '<origin value="5" unit="furlong"',
            "origin of lead I is not in volts",
        ),
        (write_aecg, '<origin value="0" unit="uV"', '<origin value="5"', "origin of lead I is not in volts"),
        (write_aecg, "<digits>", "<digits>nan ", "lead I has digits that are no numbers"),
        (write_aecg, "<digits>", "<digits>1_0 ", "lead I has digits that are no numbers"),
        (write_aecg, "</digits>", "<b/> 1 2 3</digits>", "lead I has digits that are no numbers"),
        (write_aecg, "</digits>", "</digits><digits>1 2</digits>", "lead I has 2 elements digits"),
        (write_aecg, "</value></sequence>", "</value><value/></sequence>", "a sequence has 2 elements value"),
        (write_aecg, '<origin value="0"', '<origin value="0"/><origin value="7"', "lead I has 2 elements origin"),
        (write_aecg, '<code code="MDC_ECG_LEAD_II"', '<code code="x"/><code code="MDC_ECG_LEAD_II"', "2 elements code"),
        (write_aecg, 'code="MDC_ECG_LEAD_V1"', 'code="TIME_RELATIVE"', "several times"),
        (write_aecg, '<increment value="0.002"', '<increment value="0.002s"', "increment of time is no number"),
        (
            write_aecg,
            "</series></component>",
            "</series></component><component><series/></component>",
            "rhythm, or sev",
        ),
        (
            write_aecg,
            "</sequenceSet></component>",
            "</sequenceSet></component><component><sequenceSet/></component>",
            "sev",
        ),
        (write_aecg, 'code="RHYTHM"', 'code="MEDIAN_BEAT"', "no recording of the rhythm"),
        (write_aecg, 'code="RHYTHM"', 'code="Average Beat"', "no recording of the rhythm"),
        (write_aecg, 'code="RHYTHM"', 'code="REPRESENTATIVE BEAT"', "no recording of the rhythm"),
        (write_philips, 'signaloffset="0"', 'signaloffset="none"', "signaloffset is no number"),
        (write_philips, 'signaloffset="0"', 'signaloffset="0.5"', "signaloffset is no whole number"),
        (write_philips, 'signalsigned="True"', 'signalsigned="perhaps"', "signalsigned is neither"),
        (write_philips, 'resolution="5"', 'resolution="5 uV"', "resolution is no number"),
        (write_philips, 'numberofleads="12"', 'numberofleads="a dozen"', "numberofleads is no number"),
        (write_muse, "<LeadSampleSize>2<", "<LeadSampleSize>2.5<", "LeadSampleSize is no whole number"),
        (write_muse, "<LeadDataCRC32>", "<LeadDataCRC32>0x", "LeadDataCRC32 is no number"),
        (write_muse, "<LeadAmplitudeUnitsPerBit>5<", "<LeadAmplitudeUnitsPerBit>5,0<", "PerBit is no number"),
        (write_muse, "<LeadID>I<", "<LeadID>V1</LeadID><LeadID>I<", "LeadID is there twice"),
        (write_muse, "<LeadID>I<", "<leadid>V1</leadid><LeadID>I<", "there twice"),
        (write_muse, "<LeadOffsetFirstSample>0<", "<LeadOffsetFirstSample>0.5<", "lead I begins at another time"),
        (
            write_muse,
            "<WaveformType>Rhythm<",
            "<WaveformType>Median<",
            "0 recordings of the rhythm",
        ),
        (write_muse, "<Waveform>", "<Waveform></Waveform><Waveform>", "2 recordings of the rhythm"),
    ],
)
def test_numbers_that_are_none_and_elements_that_are_there_twice(write, old, new, problem, tmp_path):
    with pytest.raises(RecordError, match=problem):
        read_recording(rewrite(write(tmp_path / "x", SHORT, 500), (old, new)))


def test_numbers_that_are_written_in_another_way(tmp_path):
    found = read_recording(
        rewrite(write_aecg(tmp_path / "a", SHORT, 500), ('<origin value="0"', '<origin value="1e3"'))
    )
    np.testing.assert_allclose(found.signal[:, 0], counts_of(SHORT)[:, 0] * STEP + 1, atol=1e-6)
    moved = write_philips(tmp_path / "b", SHORT, 500, signaloffset="20")
    np.testing.assert_allclose(read_recording(moved).signal, (counts_of(SHORT) - 20) * STEP, atol=1e-6)
    zero = write_muse(tmp_path / "c", SHORT, 500, LeadOffsetFirstSample="0.0", LeadTimeOffset=" 0 ")
    assert len(read_recording(zero).signal) == len(SHORT)
    commented = rewrite(write_aecg(tmp_path / "d", SHORT, 500), ("<digits>", "<digits><!-- 1 2 -->"))
    np.testing.assert_allclose(read_recording(commented).signal, counts_of(SHORT) * STEP, atol=1e-6)


@pytest.mark.parametrize("code", ["MEDIAN_BEAT", "REPRESENTATIVE_BEAT"])
def test_a_beat_before_or_behind_the_rhythm_is_not_taken(code, tmp_path):
    beat, before, behind = f'<series><code code="{code}"/></series>', "<component><series>", "</series></component>"
    for old, new in (
        (before, f"<component>{beat}</component>{before}"),
        (behind, f"{behind}<component>{beat}</component>"),
    ):
        found = read_recording(rewrite(write_aecg(tmp_path / "x", SHORT, 500), (old, new)))
        np.testing.assert_allclose(found.signal, counts_of(SHORT) * STEP, atol=1e-6)


@pytest.mark.parametrize("label", ["REPRESENTATIVE", "Average Beat", "BEATS", "TEMPLATE"])
def test_a_group_of_beats_is_no_rhythm(label, tmp_path):
    path = write_dicom(tmp_path / "x", SHORT, 500, groups=[(label, LEADS, 600), ("", LEADS, 500)])
    assert len(read_recording(path).signal) == 500
    with pytest.raises(RecordError, match="no group of 12 or 8 leads"):
        read_recording(write_dicom(tmp_path / "y", SHORT, 500, groups=[(label, LEADS, 600)]))


# ---- MUSE


@pytest.mark.parametrize(
    "base",
    [
        "<SampleBase>500,4</SampleBase>",
        "<SampleBase>499.5</SampleBase>",
        '<SampleBase unit="Hz">499.5</SampleBase>',
        "<samplebase>499.5</samplebase>",
        "<SampleBase>499<!-- and a half -->.5</SampleBase>",
        "<SampleBase><b>499.5</b></SampleBase>",
        "<SampleBase>500</SampleBase><samplebase>250</samplebase>",
        "<SampleBase>500</SampleBase><SampleExponent>1</SampleExponent>",
        "<SampleBase>500</SampleBase><SampleExponent>one</SampleExponent>",
        "<SampleBase>0500 Hz</SampleBase>",
    ],
)
def test_rates_that_muse_does_not_write(base, tmp_path):
    with pytest.raises(RecordError, match=r"(?i)samplebase|SampleExponent|no whole number of Hz"):
        read_recording(write_muse(tmp_path / "x", SHORT, 500, base=base))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "UTF-16LE", "UTF-16BE"])
def test_muse_in_any_encoding(encoding, tmp_path):
    path = write_muse(tmp_path / "x", SHORT, 250, encoding=encoding)
    found = read_recording(path)
    assert (found.format, found.rate) == ("GE MUSE XML", 250.0)
    np.testing.assert_allclose(found.signal, counts_of(SHORT) * STEP, atol=1e-6)


def test_the_name_of_the_root_element():
    prolog = '<?xml version="1.0"?>\n<!-- <restingecgdata> --><!DOCTYPE RestingECG SYSTEM "restecg.dtd" [<!ELEMENT a>]>'
    assert xml.root_name(f"{prolog}<RestingECG>".encode()) == "RestingECG"
    assert xml.root_name(b"\xef\xbb\xbf<n:AnnotatedECG xmlns:n='x'>") == "AnnotatedECG"
    assert xml.root_name(b"<!-- " + b"--><!-- " * 8000) == xml.root_name(b"0       <RestingECGs") == ""


# ---- what is told of leads


def test_leads_that_a_file_marks_are_named(tmp_path, capsys):
    muse = write_muse(tmp_path / "m", SIGNAL, 500, LeadOff="TRUE", BaselineSway="FALSE")
    kinds = {one.kind: one.text for one in read_recording(muse).warnings}
    assert kinds["marked"] == "the file itself marks V6 (off): check the electrodes"
    state = '<leadmeasurement leadname="V3"><leadqualitystates overrangeflag="True"><inops>OFF</inops>'
    state += '<muscleartifacts level="Severe"/></leadqualitystates></leadmeasurement>'
    philips = rewrite(write_philips(tmp_path / "p", SIGNAL, 500), ("<waveforms>", f"{state}<waveforms>"))
    assert "V3 (off, out of range, severe artifacts)" in read_recording(philips).warnings[0].text
    assert cli.inspect([str(muse)]) == 0
    assert "WARNING: the file itself marks V6 (off)" in capsys.readouterr().out
    assert not read_recording(write_muse(tmp_path / "n", SIGNAL, 500, LeadOff="FALSE")).warnings
    (tmp_path / "labels.csv").write_text("file,labels\nm,AF\nn,AF\np,AF\n")
    audit = pack_of(tmp_path, tmp_path / "pack", workers=1, progress=False).audit
    assert audit.marked.keys() == {"m", "p"} and audit.marked["m"] == kinds["marked"]
    assert "  leads marked as bad by the file (2): m, p" in format_audit(audit).splitlines()


def test_channels_of_dicom_that_are_marked(tmp_path):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    def mark(group):
        group.ChannelDefinitionSequence[0].ChannelStatus = "OK"
        group.ChannelDefinitionSequence[7].ChannelStatus = ["DISCONNECTED", PATIENT]
        modifier = Dataset()
        modifier.CodeValue, modifier.CodingSchemeDesignator, modifier.CodeMeaning = "1", "99TEST", "x"
        group.ChannelDefinitionSequence[9].ChannelSourceModifiersSequence = Items([modifier])

    path = rewrite_dicom(write_dicom(tmp_path / "x", SIGNAL, 500), mark)
    said = read_recording(path).warnings[0]
    assert said.kind == "marked" and "V2 (disconnected, not OK), V4 (of a modified source):" in said.text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda group: setattr(group, "WaveformData", group.WaveformData + bytes(24)), "14424 bytes, and 14400 are"),
        (lambda group: setattr(group, "NumberOfWaveformSamples", 500), "14400 bytes, and 12000 are stated"),
        (
            lambda group: group.ChannelDefinitionSequence.append(group.ChannelDefinitionSequence[0]),
            "describes 13 leads",
        ),
        (lambda group: group.ChannelDefinitionSequence[2].__setattr__("ChannelBaseline", [1, 2]), "is damaged"),
    ],
)
def test_dicom_that_its_numbers_do_not_fit(change, problem, tmp_path):
    with pytest.raises(RecordError, match=problem):
        read_recording(rewrite_dicom(write_dicom(tmp_path / "x", SHORT, 500), change))


@pytest.mark.parametrize(("more", "reads"), [(b"", True), (b"\0", False), (b"\0\0", False)])
def test_data_of_bytes(more, reads, tmp_path):
    def to_bytes(group):
        counts = np.frombuffer(group.WaveformData, "<i2")
        group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 8, "SB"
        group.WaveformData = np.clip(counts, -128, 127).astype(np.int8).tobytes() + more

    path = rewrite_dicom(write_dicom(tmp_path / "x", SHORT, 500), to_bytes)
    if reads:
        wanted = np.clip(counts_of(SHORT), -128, 127) * STEP
        np.testing.assert_allclose(read_recording(path).signal, wanted, atol=1e-6)
    else:
        with pytest.raises(RecordError, match="its data have 720"):
            read_recording(path)


# ---- scales, pulses, sizes


@pytest.mark.parametrize(
    ("write", "change"),
    [
        (write_muse, {"LeadAmplitudeUnitsPerBit": "1e308"}),
        (write_philips, {"resolution": "1e308"}),
        (write_aecg, {"scale": "1e-300"}),
        (write_dicom, {"sensitivity": 1e300}),
    ],
)
def test_scales_that_no_ecg_has(write, change, tmp_path):
    with pytest.raises(RecordError, match="which no ECG has"):
        read_recording(write(tmp_path / "x", SHORT, 500, **change))


def test_the_calibration_pulse_is_cut_off_where_a_lead_is_off(tmp_path):
    pulse = np.zeros((200, 12))
    pulse[50:150] = 1.0
    signal = np.concatenate([SIGNAL, pulse])
    signal[:, 8] = -17.0  # the electrode of V3
    found = read_recording(write_philips(tmp_path / "x", signal, 500))
    assert len(found.signal) == len(SIGNAL) and "calibration pulse" in found.notes[0]
    few = [(lead, values) for lead, values in zip(LEADS, np.full((12, 2700), -17.0), strict=True)]
    for at in range(5):
        few[at] = (LEADS[at], signal[:, 0])
    assert cut_calibration(Contents(few, 500.0)).leads == few


@pytest.mark.parametrize("write", [write_muse, write_philips, write_aecg])
def test_a_flood_of_elements_is_refused_before_it_is_parsed(write, tmp_path):
    path = write(tmp_path / "x", SHORT, 500)
    encoding = "utf-16" if write is write_philips else "latin-1"
    head = path.read_text(encoding=encoding).rpartition("</")[0]
    for flood in ("<a/>" * 200_000, "<a " + " ".join(f'b{at}=""' for at in range(200_000)) + ">"):
        path.write_text(head + flood, encoding=encoding)  # and no end, which a parser would meet with another error
        with pytest.raises(RecordError, match="more than 200,000 tags or attributes"):
            read_recording(path)


# ---- the key of patients' hashes


def test_a_key_that_is_none_is_refused_by_its_name(tmp_path):
    file = tmp_path / "cache/xecgnet-jax/patient.key"
    file.parent.mkdir(parents=True)
    path = write_edf(tmp_path / "x", SHORT, 500)
    for content in (b"", b"1234"):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=f"{re.escape(str(file))}: holds {len(content)} bytes"):
            read_recording(path)
    assert file.read_bytes() == b"1234"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "full").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "full"))
    path = write_edf(tmp_path / "x", SHORT, 500)
    assert cli.inspect([str(path)]) == 2
    assert f"{tmp_path}/full/xecgnet-jax/patient.key: the key" in capsys.readouterr().err


def test_the_key_is_private_from_the_start_and_stays(tmp_path):
    file = tmp_path / "a/patient.key"
    before = os.umask(0)
    try:
        create_private(file, b"first")
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    create_private(file, b"second")
    assert file.read_bytes() == b"first" and list(file.parent.iterdir()) == [file]


# ---- names


def test_content_decides_in_a_folder_and_by_name_alike(tmp_path):
    """Whatever the suffix says: one of WFDB, of CPSC2018, of a table, of an array, in capitals."""
    folder = tmp_path / "export"
    folder.mkdir()
    files = [
        write_edf(folder / "b.dat", SIGNAL, 500),
        write_dicom(folder / "c.mat", SIGNAL, 500),
        write_muse(folder / "d.txt", SIGNAL, 500),
        write_aecg(folder / "e.csv", SIGNAL, 500),
        write_edf(folder / "f.DAT", SIGNAL, 500),
        write_philips(folder / "g.npy", SIGNAL, 500),
    ]
    assert [one.path for one in find_recording_files([folder]).recordings] == files
    for path in files:
        np.testing.assert_allclose(read_recording(path).signal, counts_of(SIGNAL) * STEP, atol=1e-6)
    (folder / "labels.csv").write_text(
        "\n".join(["file,labels,patient", *(f"{one.name},AF,17.00" for one in files), ""])
    )
    pack = pack_of(folder, tmp_path / "pack", workers=1, progress=False)
    assert pack.ids == ("b.dat", "c", "d", "e", "f.DAT", "g") and set(pack.patients) == {"17"}


def test_paths_are_printed_without_what_a_terminal_obeys(tmp_path, capsys):
    path = write_edf(tmp_path / "a\x1b[31m\nb", SIGNAL, 500)
    assert cli.inspect([str(path), "--plot", str(tmp_path / "p\x1b[31m.svg")]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "predict it: xecgnet predict" in printed.out


# ---- damage, and memory

#: What stands for a number or name in a damaged file.
WORSE = (b"", b"-1", b"1e308", b"nan", b"99999999", b"&x;", b"<a>", b"\x00", b"inf", b"0")


@pytest.mark.parametrize("kind", WRITERS)
def test_fields_that_hold_anything_are_no_traceback(kind, tmp_path):
    """Each of the first values, words or numbers of a file becomes another; sizes and entities are among them."""
    content = WRITERS[kind](tmp_path / "x", SIGNAL[:300], 500).read_bytes()
    wide = content[:2] == b"\xff\xfe"
    content = content[2:].decode("utf-16-le").encode() if wide else content
    fields = rb"[^\0]{2}" if kind == "SCP-ECG" else rb"(?<=[>\"\s])[\w.]{1,24}(?=[<\"\s])"
    values = list(re.finditer(fields, content[:3000], re.DOTALL))
    rng = np.random.default_rng(3)
    for number in range(15):
        value, worse = values[rng.integers(len(values))], WORSE[number % len(WORSE)]
        if not kind.endswith(("XML", "aECG")):  # fields have a length
            worse = worse.ljust(len(value[0]))[: len(value[0])]
        changed = content[: value.start()] + worse + content[value.end() :]
        path = tmp_path / f"d{number}"
        path.write_bytes(changed.decode().encode("utf-16") if wide else changed)
        try:
            assert np.isfinite(read_recording(path).signal).all()
        except RecordError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


@pytest.mark.ci
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the most memory of a process is told by Linux")
def test_reading_takes_little_memory(tmp_path):
    """A process that reads a recording of each format has less than 200 MB. (`getrusage` counts its parent's, too.)"""
    paths = [WRITERS[kind](tmp_path / f"{at}", SIGNAL, 500) for at, kind in enumerate(WRITERS)]
    program = (
        "import re, sys; from pathlib import Path; from xecgnet_jax import read_recording\n"
        "for path in sys.argv[1:]: read_recording(path)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200_000
