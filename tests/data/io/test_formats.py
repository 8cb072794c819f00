"""Files of hospitals: what is read from them, another way; what is refused; and what reaches no output."""

from __future__ import annotations

import base64
import logging
import os
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests import commands as cli
from tests.data.io.hospital_files import (
    NAME,
    PATIENT,
    STEP,
    WRITERS,
    counts_of,
    write_aecg,
    write_dicom,
    write_edf,
    write_muse,
    write_philips,
    write_scp,
)
from xecgnet_jax import read_recording
from xecgnet_jax.data.io import hospital
from xecgnet_jax.data.io.discover import find_recording_files
from xecgnet_jax.data.io.formats import can_be_read_now, format_of
from xecgnet_jax.data.io.hospital import STORED, Contents, cut_calibration, fill_gaps
from xecgnet_jax.data.io.recording import hash_patient
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.simulation.recording import simulate_recording
from xecgnet_jax.errors import CorpusError, RecordError

SIGNAL = simulate_recording(3, 1, frozenset({"PVC"}), duration_s=6).signal[:2500].astype(np.float64)
SIGNAL[:, 2:6] = np.stack(
    [
        SIGNAL[:, 1] - SIGNAL[:, 0],
        -(SIGNAL[:, 0] + SIGNAL[:, 1]) / 2,
        SIGNAL[:, 0] - SIGNAL[:, 1] / 2,
        SIGNAL[:, 1] - SIGNAL[:, 0] / 2,
    ],
    axis=1,
)


@pytest.fixture(autouse=True)
def key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_gives_back_its_signal_whatever_its_name(kind, tmp_path):
    path = WRITERS[kind](tmp_path / "odd.name", SIGNAL, 500)
    found = read_recording(path)
    assert (found.format, found.rate, found.sex, found.derived) == (kind, 500.0, "F", ())
    np.testing.assert_allclose(found.signal, counts_of(SIGNAL) * STEP, atol=1e-6)
    assert found.age == 61.0 and found.patient == hash_patient(PATIENT)
    assert find_recording_files([tmp_path]).recordings[0].path == path


@pytest.mark.parametrize("kind", WRITERS)
def test_eight_leads_in_another_order_give_twelve(kind, tmp_path):
    found = read_recording(WRITERS[kind](tmp_path / "x", SIGNAL, 500, STORED[::-1]))
    assert found.derived == ("III", "aVR", "aVL", "aVF") and "computed from I and II" in found.notes[0]
    np.testing.assert_allclose(found.signal, SIGNAL, atol=2 * STEP)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_missing_and_a_doubled_lead_are_refused(kind, tmp_path):
    with pytest.raises(RecordError, match=r"lead V3 is missing|no group of 12 or 8 leads"):
        read_recording(WRITERS[kind](tmp_path / "x", SIGNAL, 500, [lead for lead in LEADS if lead != "V3"]))
    with pytest.raises(RecordError, match=r"lead V2 is there more than once"):
        read_recording(WRITERS[kind](tmp_path / "y", SIGNAL, 500, [*LEADS[:8], "V2", *LEADS[9:]]))


@pytest.mark.parametrize(
    ("write", "change", "problem"),
    [
        (write_muse, {"LeadAmplitudeUnitsPerBit": ""}, "V6 states no scale"),
        (write_muse, {"LeadAmplitudeUnits": "NONE"}, "V6 states no scale"),
        (write_muse, {"LeadAmplitudeUnitsPerBit": "nan"}, "V6 states no scale|PerBit is no number"),
        (write_muse, {"LeadDataCRC32": "12"}, "checksum"),
        (write_muse, {"LeadTimeOffset": "8"}, "V6 begins at another time"),
        (write_muse, {"FirstSampleBaseline": "100"}, "V6 begins at another time"),
        (write_muse, {"LeadSampleCountTotal": "2499"}, "damaged, cut off"),
        (write_philips, {"resolution": ""}, "states no scale"),
        (write_philips, {"compression": "ZIP"}, "compression or encoding"),
        (write_philips, {"durationperchannel": "6000"}, "damaged, cut off"),
        (write_philips, {"durationperchannel": "4980"}, "leads would be mixed up"),
        (write_philips, {"samplespersecond": "250"}, "leads would be mixed up"),
        (write_aecg, {"scale": "nan"}, "scale of lead I is no number"),
        (write_aecg, {"unit": "furlong"}, "states no scale"),
        (write_aecg, {"increment": "0"}, "damaged, cut off"),
        (write_scp, {"first": 3}, "do not begin at the same time"),
        (write_dicom, {"sensitivity": None}, "states no scale"),
        (write_dicom, {"sensitivity": -5.0}, "states no scale"),
        (write_dicom, {"skew": 0.02}, "1 of its leads begin at another time"),
        (write_muse, {"LeadAmplitudeUnitsPerBit": "-5"}, "V6 states no scale"),
        (write_dicom, {"sensitivity": 0.0}, "states no scale"),
        (write_edf, {"unit": "lux"}, "states no scale"),
    ],
)
def test_what_cannot_be_vouched_for_is_refused(write, change, problem, tmp_path):
    with pytest.raises(RecordError, match=problem):
        read_recording(write(tmp_path / "x", SIGNAL, 500, **change))


@pytest.mark.parametrize("left_out", ["LeadDataCRC32", "LeadByteCountTotal", "LeadSampleSize", "LeadTimeOffset"])
def test_muse_files_need_not_state_what_is_only_checked(left_out, tmp_path):
    found = read_recording(write_muse(tmp_path / "x", SIGNAL, 500, **{left_out: ""}))
    np.testing.assert_allclose(found.signal, counts_of(SIGNAL) * STEP, atol=1e-6)


def test_rates_are_exact(tmp_path):
    assert read_recording(write_scp(tmp_path / "a", SIGNAL, 600)).rate == pytest.approx(1e6 / 1667)
    assert read_recording(write_aecg(tmp_path / "b", SIGNAL, 499.5)).rate == pytest.approx(499.5)
    assert read_recording(write_dicom(tmp_path / "c", SIGNAL, 399.75)).rate == pytest.approx(399.75)
    with pytest.raises(RecordError, match="no whole number of Hz"):
        read_recording(write_muse(tmp_path / "d", SIGNAL, 499.5))


def test_groups_of_a_dicom_file(tmp_path):
    both = read_recording(write_dicom(tmp_path / "a", SIGNAL, 500, groups=[("", LEADS, 600), ("", LEADS, 2500)]))
    assert len(both.signal) == 2500 and "the longest of 2" in both.notes[0]
    median = [("RHYTHM", LEADS, 2500), ("MEDIAN BEAT", LEADS, 600)]
    assert len(read_recording(write_dicom(tmp_path / "b", SIGNAL, 500, groups=median)).signal) == 2500
    for groups, problem in (
        ([("RHYTHM A", LEADS, 2500), ("RHYTHM B", LEADS, 2500)], "several recordings"),
        ([("", LEADS[:6], 2500), ("", LEADS[6:], 2500)], "its groups have 6, 6"),
    ):
        with pytest.raises(RecordError, match=problem):
            read_recording(write_dicom(tmp_path / "c", SIGNAL, 500, groups=groups))


def test_a_deflated_dicom_file_is_refused_before_it_is_inflated(tmp_path):
    path = write_dicom(tmp_path / "x", SIGNAL, 500, syntax="1.2.840.10008.1.2.1.99")
    content = path.read_bytes()
    path.write_bytes(content[:600])  # what would be inflated is not even there
    with pytest.raises(RecordError, match="compressed"):
        read_recording(path)


def test_missing_samples_are_filled_in_where_they_are_few(tmp_path):
    gaps = SIGNAL.copy()
    gaps[100:119, 3] = gaps[1000:1004, 8] = gaps[:5, 0] = -100.0
    found = read_recording(write_dicom(tmp_path / "x", gaps, 500, padding=round(-100 / STEP)))
    assert "filled in, up to 38 ms" in found.notes[0]
    wanted = counts_of(SIGNAL) * STEP
    line = np.interp(np.arange(100, 119), [99, 119], wanted[[99, 119], 3])
    np.testing.assert_allclose(found.signal[100:119, 3], line, atol=1e-5)
    np.testing.assert_allclose(found.signal[:5, 0], wanted[5, 0], atol=1e-5)
    gaps[100:120, 3] = -100.0
    with pytest.raises(RecordError, match=r"lead aVR lacks 20 of 2500 samples, up to 40 ms"):
        read_recording(write_dicom(tmp_path / "y", gaps, 500, padding=round(-100 / STEP)))
    scattered = SIGNAL.copy()
    scattered[::19, 5] = np.nan
    with pytest.raises(RecordError, match="lead aVF lacks"):
        fill_gaps(Path("x"), scattered, 500)


@pytest.mark.parametrize("leads", [LEADS[:6], ("II", "V5")])
def test_the_pulse_of_fewer_leads_is_cut_off_too(tmp_path, leads):
    pulse = np.zeros((200, 12))
    pulse[50:150] = 1.0
    path = write_philips(tmp_path / "x", np.concatenate([SIGNAL, pulse]), 500, leads)
    assert len(read_recording(path, missing_leads="zero").signal) == len(SIGNAL)


def test_the_calibration_pulse_is_cut_off_and_nothing_else(tmp_path):
    pulse = np.zeros((200, 12))
    pulse[50:150] = 1.0
    rng = np.random.default_rng(0)
    end = pulse + rng.uniform(-0.01, 0.01, pulse.shape)  # it wobbles by 20 µV
    for write in (write_philips, write_aecg):
        found = read_recording(write(tmp_path / "x", np.concatenate([SIGNAL, end]), 500))
        assert len(found.signal) == len(SIGNAL) and "calibration pulse" in found.notes[0]
        assert len(read_recording(write(tmp_path / "y", SIGNAL, 500)).signal) == len(SIGNAL)
    leads = [(lead, np.zeros(2500)) for lead in LEADS]
    assert cut_calibration(Contents(leads, 500.0)).leads == leads  # nothing in any lead is no pulse


def test_what_was_refused_for_want_of_a_package_can_be_read_once_it_is_there():
    cause = "x: is DICOM waveform, for which {} is needed: pip install 'xecgnet-jax[formats]'."
    assert can_be_read_now(cause.format("pydicom")) and not can_be_read_now("x: is damaged.")
    assert not can_be_read_now(cause.format("pydicom").replace("formats", "other"))


def test_an_edf_file_of_other_signals_says_so(tmp_path):
    path = write_edf(tmp_path / "x", SIGNAL, 500)
    path.write_bytes(re.sub(rb"ECG (\w+) ", rb"EKG \1 ", path.read_bytes()))
    with pytest.raises(RecordError, match="none of its signals is one of the twelve leads"):
        read_recording(path)


def test_records_of_an_edf_file_that_is_cut_open_or_has_gaps(tmp_path):
    content = bytearray(write_edf(tmp_path / "x", SIGNAL, 500).read_bytes())
    for change, problem in (
        (content[:-500], "damaged, cut off|is cut off"),
        (content[:236] + b"-1      " + content[244:], "not closed"),
        (content + b"\0\0", "bytes behind"),
    ):
        (tmp_path / "y").write_bytes(change)
        with pytest.raises(RecordError, match=problem):
            read_recording(tmp_path / "y")


@pytest.mark.parametrize("kind", WRITERS)
def test_nothing_of_a_person_reaches_the_output(kind, tmp_path, capsys, caplog):
    """Neither of a whole file nor of a refused one, though pydicom logs values of the file and warnings quote them."""
    path = WRITERS[kind](tmp_path / "ecg", SIGNAL, 500)
    with caplog.at_level(logging.DEBUG):
        assert cli.inspect([str(path), "--plot", str(tmp_path / "p.svg")]) == 0
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 3 // 4])
        assert cli.inspect([str(path)]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err, caplog.text, (tmp_path / "p.svg").read_text(encoding="utf-8")):
        assert not re.search(f"{NAME}|{PATIENT}", text, re.IGNORECASE)
    assert f"format:   {kind}" in printed.out and "error: " in printed.err


@pytest.mark.parametrize("kind", WRITERS)
def test_damaged_files_are_refused_or_read_but_never_a_traceback(kind, tmp_path):
    content = WRITERS[kind](tmp_path / "x", SIGNAL[:500], 500).read_bytes()
    rng = np.random.default_rng(7)
    changed = [content[: len(content) * at // 6] for at in range(6)]
    for _ in range(12):
        one = bytearray(content)
        for at in rng.integers(0, min(len(one), 4000), 8):
            one[at] = rng.integers(256)
        changed.append(bytes(one))
    for number, one in enumerate(changed):
        path = tmp_path / f"d{number}"
        path.write_bytes(one)
        try:
            assert read_recording(path).signal.shape[1] == 12
        except RecordError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_entities_of_xml_are_not_followed(tmp_path):
    text = write_muse(tmp_path / "x", SIGNAL, 500).read_text(encoding="latin-1")
    (tmp_path / "secret").write_text("0")
    bomb = f'<!DOCTYPE r [<!ENTITY a SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "x").write_text(text.replace("<RestingECG>", f"{bomb}<RestingECG>").replace("YEARS", "&a;"))
    with pytest.raises(RecordError, match="no GE MUSE XML recording can be read"):
        read_recording(tmp_path / "x")


def test_a_syntax_that_is_none_is_not_quoted(tmp_path, capsys, caplog):
    path = write_dicom(tmp_path / "x", SIGNAL, 500)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"Zzyzx PID-4711 abcd\0"))
    assert path.read_bytes() != content
    with caplog.at_level(logging.DEBUG):
        assert cli.inspect([str(path)]) == 2
    printed = capsys.readouterr()
    assert NAME not in printed.out + printed.err + caplog.text and "compressed" in printed.err


def test_records_without_their_time_may_hide_gaps(tmp_path):
    path = write_edf(tmp_path / "x", SIGNAL, 500)
    content = path.read_bytes()
    at = content.index(b"+2\x14\x14")  # the third of five records
    without = content[:at] + bytes(4) + content[at + 4 :]
    path.write_bytes(without)
    assert len(read_recording(path).signal) == len(SIGNAL)  # EDF+C says that there are none
    path.write_bytes(without.replace(b"EDF+C", b"EDF+D", 1))
    with pytest.raises(RecordError, match="may be gaps"):
        read_recording(path)
    path.write_bytes(content.replace(b"EDF+C", b"EDF+D", 1))
    assert len(read_recording(path).signal) == len(SIGNAL)
    path.write_bytes(content.replace(b"EDF+C", b"EDF+D", 1).replace(b"+3\x14\x14", b"+7\x14\x14"))
    with pytest.raises(RecordError, match="gaps between its records"):
        read_recording(path)


def test_a_link_to_itself_is_ignored_or_refused(tmp_path, capsys):
    (tmp_path / "l.hea").symlink_to(tmp_path / "l.hea")
    assert cli.predict([str(tmp_path), "--cache", str(tmp_path / "cache")]) == 2
    assert "l.hea" in capsys.readouterr().err


def test_compressed_philips_leads_in_another_order_are_refused(shared, tmp_path):
    text = (shared / "data/formats/philips_103_mrx.xml").read_text(encoding="utf-8")
    labels = "II I III aVR aVL aVF V1 V2 V3 V4 V5 V6"
    (tmp_path / "x").write_text(text.replace("<parsedwaveforms ", f'<parsedwaveforms leadlabels="{labels}" ', 1))
    with pytest.raises(RecordError, match="not in the order I, II, III"):
        read_recording(tmp_path / "x")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.xml")
    assert format_of(tmp_path / "x.xml") is None
    assert [why for _, why in find_recording_files([tmp_path]).ignored] == ["is a pipe"]


def test_names_keep_what_is_no_suffix(tmp_path):
    assert read_recording(write_dicom(tmp_path / "1.2.840.80.1", SIGNAL, 500)).id == "1.2.840.80.1"
    assert read_recording(write_scp(tmp_path / "a.b.SCP", SIGNAL, 500)).id == "a.b"


def test_sizes_and_what_is_no_file(tmp_path, monkeypatch):
    path = write_edf(tmp_path / "x.edf", SIGNAL, 500)
    small = format_of(path)._replace(largest=1000)
    monkeypatch.setattr("xecgnet_jax.data.io.discover.format_of", lambda path: small)
    with pytest.raises(RecordError, match="too large for one ECG in EDF"):
        read_recording(path)


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    path = write_edf(tmp_path / "x.edf", SIGNAL, 500)
    monkeypatch.setitem(sys.modules, "ecgdatakit", None)
    with pytest.raises(RecordError, match=re.escape(hospital.INSTALL)):
        read_recording(path)


def test_hashes_of_patients_are_keyed(tmp_path, monkeypatch):
    first = hash_patient("17")
    assert first == hash_patient(" 17 ") != hash_patient("18") and re.fullmatch(r"[0-9a-f]{16}", first)
    assert hash_patient(" ") is None
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "ours")
    assert hash_patient("17") != first
    assert (tmp_path / "cache/xecgnet-jax/patient.key").stat().st_mode & 0o77 == 0


def test_a_folder_of_all_formats(tmp_path):
    (tmp_path / "a").mkdir()
    for kind, write in WRITERS.items():
        write(tmp_path / "a" / f"{kind}.x", SIGNAL, 500)
    (tmp_path / "a" / "notes.xml").write_text("<notes/>")
    found = find_recording_files([tmp_path])
    assert {one.format.kind for one in found.recordings} == set(WRITERS)
    assert [(path.name, why) for path, why in found.ignored] == [("notes.xml", "no format of recordings")]


def test_a_hospitals_folder_is_a_corpus(tmp_path):
    """Nested, with repeated names, numbers for names and a table of paths; patients are those of the files."""
    folder = tmp_path / "export"
    for day in ("a", "b"):
        (folder / day).mkdir(parents=True)
        write_dicom(folder / day / "IM000001", SIGNAL, 500)
    write_muse(folder / "b" / "1.2.840.80.1", SIGNAL, 250)
    write_scp(folder / "c.scp", SIGNAL, 500)
    (folder / "notes.txt").write_text("none")
    rows = ["file,labels", "a/IM000001,AF", "b/IM000001,AF|PVC", "b/1.2.840.80.1,", "c.scp,NORM", ""]
    (folder / "labels.csv").write_text("\n".join(rows))
    pack = pack_of(folder, tmp_path / "pack", workers=1, progress=False)
    assert pack.ids == ("1.2.840.80.1", "a/IM000001", "b/IM000001", "c")
    assert [len(one) for one in pack.codes] == [0, 1, 2, 1] and set(pack.patients) == {hash_patient(PATIENT)}
    assert pack.lengths.tolist() == [5000, 2500, 2500, 2500] and set(pack.sexes) == {"F"}
    np.testing.assert_allclose(pack.signal(1), counts_of(SIGNAL) * STEP, atol=6e-4)
    (folder / "labels.csv").write_text("\n".join(rows[:-2]))
    with pytest.raises(CorpusError, match="no row for 1 recordings: c"):
        pack_of(folder, tmp_path / "pack", workers=1, progress=False)
    (folder / "labels.csv").write_text("\n".join([*rows[:-1], "d.xml,AF"]))
    with pytest.raises(CorpusError, match=r"no recording .* for 1 recordings: d.xml"):
        pack_of(folder, tmp_path / "pack", workers=1, progress=False)


# ---- real files, read another way


def muse_signal(path: Path) -> dict[str, np.ndarray]:
    found = {}
    for one in ET.parse(path).getroot().findall("Waveform[WaveformType='Rhythm']/LeadData"):
        counts = np.frombuffer(base64.b64decode(one.findtext("WaveFormData")), "<i2")
        found[one.findtext("LeadID")] = counts * float(one.findtext("LeadAmplitudeUnitsPerBit")) / 1000
    return found


def aecg_signal(path: Path) -> dict[str, np.ndarray]:
    space, found = "{urn:hl7-org:v3}", {}
    for one in ET.parse(path).getroot().iter(f"{space}sequence"):
        code, digits = one.find(f"{space}code").get("code"), one.find(f"{space}value/{space}digits")
        if digits is not None and code.startswith("MDC_ECG_LEAD_"):
            scale = float(one.find(f"{space}value/{space}scale").get("value")) / 1000
            found.setdefault(code.removeprefix("MDC_ECG_LEAD_"), np.array(digits.text.split(), float) * scale)
    return found


@pytest.mark.parametrize("name", ["muse_500hz_sinusbrady", "muse_240hz_statements_scrubbed"])
def test_real_muse_files(name, shared):
    path = shared / "data/formats" / f"{name}.xml"
    found, wanted = read_recording(path), muse_signal(path)
    assert found.rate == (240 if "240" in name else 500) and set(wanted) == set(STORED)
    for lead, values in wanted.items():
        np.testing.assert_allclose(found.signal[:, LEADS.index(lead)], values, atol=1e-6)


@pytest.mark.parametrize("name", ["aecg_hl7_example", "aecg_philips_104_brady"])
def test_real_aecg_files(name, shared):
    path = shared / "data/formats" / f"{name}.xml"
    found, wanted = read_recording(path), aecg_signal(path)
    assert len(found.signal) == (5300 if "philips" in name else 5000)
    for lead in LEADS:
        values = wanted[lead.upper()][: len(found.signal)]
        np.testing.assert_allclose(found.signal[:, LEADS.index(lead)], values, atol=1e-6)


@pytest.mark.parametrize(("name", "kept"), [("103_mrx", 5264), ("104_demo", 5300), ("104_brady_scrubbed", 5300)])
def test_real_philips_files_lose_their_calibration_pulse(name, kept, shared):
    found = read_recording(shared / "data/formats" / f"philips_{name}.xml")
    assert found.signal.shape == (kept, 12) and found.rate == 500 and len(found.statements) > 1
    limb = found.signal[:, 1] - found.signal[:, 0] - found.signal[:, 2]
    assert np.abs(limb).max() <= 0.0101


def test_a_philips_file_and_its_aecg_are_one_ecg(shared):
    folder = shared / "data/formats"
    one, other = (
        read_recording(folder / f"{name}.xml").signal
        for name in ("philips_104_brady_scrubbed", "aecg_philips_104_brady")
    )
    np.testing.assert_allclose(one, other, atol=0.0201)


def test_real_dicom_and_edf_files(shared):
    import edfio
    import pydicom

    folder = shared / "data/formats"
    found = read_recording(folder / "dicom_ge_mv360.dcm")
    groups = pydicom.dcmread(folder / "dicom_ge_mv360.dcm")
    wanted = groups.waveform_array(0) / 1000
    np.testing.assert_allclose(found.signal, wanted, atol=1e-6)
    edf = edfio.read_edf(folder / "edfplus_example_500hz.edf")
    found = read_recording(folder / "edfplus_example_500hz.edf")
    for lead, one in zip(LEADS, edf.signals, strict=True):
        assert one.label.endswith(lead)
        factor = {"uV": 1e-3, "mV": 1.0}[one.physical_dimension]
        np.testing.assert_allclose(found.signal[:, LEADS.index(lead)], one.data * factor, atol=1e-6)


def test_one_ecg_in_four_formats(shared):
    names = ("aecg_hl7_example.xml", "scp_example.scp", "edfplus_example_500hz.edf")
    first, *others = (read_recording(shared / "data/formats" / name).signal for name in names)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-6)
    dicom = read_recording(shared / "data/formats/dicom_example_pad0.dcm")
    assert "filled in" in dicom.notes[0]
    np.testing.assert_allclose(dicom.signal[first != 0], first[first != 0], atol=1e-6)
    assert np.abs(dicom.signal[first == 0]).max() < 0.05
    assert len({read_recording(shared / "data/formats" / name).patient for name in names}) == 1


@pytest.mark.slow
def test_one_ecg_in_four_formats_is_one_label_set(shared, tmp_path, capsys):
    names = ("aecg_hl7_example.xml", "scp_example.scp", "edfplus_example_500hz.edf", "dicom_example_pad0.dcm")
    words = [str(shared / "data/formats" / name) for name in names]
    assert cli.predict([*words, "--output", str(tmp_path / "p.csv"), "--cache", str(tmp_path / "cache")]) == 0
    rows = [line.split(",") for line in (tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()]
    predicted = rows[0].index("predicted")
    assert len({row[predicted] for row in rows[1:]}) == 1 and len(rows) == 5
