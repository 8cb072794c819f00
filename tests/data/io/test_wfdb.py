"""One recording on disk → millivolts, or one clear error."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from xecgnet_jax.data.io.wfdb import read_header, read_record, resample
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

SHARED = Path(__file__).resolve().parents[4] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")
CHALLENGE = sorted((SHARED / "data" / "challenge").glob("*/*.hea"))
CPSC = sorted((SHARED / "data" / "cpsc2018" / "TrainingSet").glob("*.mat"))
PTBXL = sorted((SHARED / "data" / "ptbxl").glob("records500/*/*.hea"))

in_one_folder = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random_values(samples: int = 60, seed: int = 0) -> np.ndarray:
    """[T, 12] int16."""
    return np.random.default_rng(seed).integers(-900, 900, (samples, 12)).astype(np.int16)


def write_challenge(
    folder: Path,
    counts: np.ndarray,
    *,
    names: Sequence[str] = LEADS,
    gain: str = "1000/mV",
    record: str = "X 12 500 60",
    comments: str = "#Age: 74\n#Sex: Male\n#Dx: 59118001,164889003\n",
) -> Path:
    """A record as the Challenges ship it: MATLAB 4 with 24 bytes of header, gain in the text."""
    savemat(folder / "X.mat", {"val": np.ascontiguousarray(counts.T)}, format="4")
    lines = [
        f"X.mat 16+24 {gain} 16 0 {column[0]} {int(column.sum(dtype=int)) % 65536} 0 {name}"
        for name, column in zip(names, counts.T, strict=True)
    ]
    path = folder / "X.hea"
    path.write_text("\n".join([record, *lines, comments]), encoding="utf-8")
    return path


def edit(path: Path, old: str, new: str, count: int = -1) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")
    return path


# Real recordings


@needs_shared
@pytest.mark.parametrize("path", CHALLENGE, ids=lambda path: path.stem)
def test_challenge_recordings_read_as_wfdb_reads_them(path):
    recording = read_record(path, rate=None)
    try:
        expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
    except Exception:  # It refuses record lines of the form `E00009.mat 12 500 5000`.
        gain = float(path.read_text().splitlines()[1].split()[2].partition("/")[0])
        expected = loadmat(path.with_suffix(".mat"))["val"].T / gain
    np.testing.assert_array_equal(recording.signal, expected.astype(np.float32))
    assert recording.signal.dtype == np.float32 and recording.signal.flags.c_contiguous
    assert recording.codes and recording.sex in ("F", "M") and recording.resolution.shape == (12,)
    header = read_header(path)
    assert (header.id, header.codes, header.length, header.rate) == (
        path.stem, recording.codes, len(recording.signal), recording.rate
    )  # fmt: skip


@needs_shared
@pytest.mark.parametrize("path", CPSC, ids=lambda path: path.stem)
def test_cpsc_recordings_read_as_scipy_reads_them(path):
    recording = read_record(path)
    fields = loadmat(path)["ECG"][0, 0]
    np.testing.assert_array_equal(recording.signal, fields["data"].T.astype(np.float32))
    assert recording.sex == fields["sex"][0][0] and recording.age == fields["age"].item()
    assert recording.rate == 500 and recording.resolution is None


@needs_shared
def test_ptbxl_recordings_read_as_wfdb_reads_them():
    for path in PTBXL[::50]:
        expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal.astype(np.float32)
        np.testing.assert_array_equal(read_record(path).signal, expected)


@needs_shared
def test_every_ptbxl_recording_reads():
    assert len(PTBXL) == 1631
    assert {read_record(path).signal.shape for path in PTBXL} == {(5000, 12)}


@needs_shared
def test_ptb_is_resampled_to_the_rate_of_the_package():
    path = next(path for path in CHALLENGE if path.stem == "S0001")
    original, recording = read_record(path, rate=None), read_record(path)
    assert (original.rate, recording.rate) == (1000, 500)
    assert len(recording.signal) == len(original.signal) // 2
    assert original.resolution is not None and recording.resolution is None
    # The filter removes what 500 Hz cannot carry, which is little of an ECG.
    assert np.abs(recording.signal - original.signal[::2]).mean() < 0.02


# Forms of headers


@pytest.mark.parametrize(
    ("gain", "millivolts"),
    [
        ("1000/mV", 1e-3), ("1000.0(0)/mV", 1e-3), ("200/mV", 5e-3), ("1000/mv", 1e-3), ("1e3/mV", 1e-3),
        ("1000", 1e-3), ("1/uV", 1e-3), ("0.205(0)/µV", 1e-3 / 0.205), ("1/μV", 1e-3), ("1000000/V", 1e-3),
        ("-1000/mV", -1e-3), ("4880/mV", 1 / 4880),
    ],
)  # fmt: skip
def test_gains(tmp_path, gain, millivolts):
    counts = random_values()
    recording = read_record(write_challenge(tmp_path, counts, gain=gain))
    np.testing.assert_allclose(recording.signal, counts * millivolts, rtol=1e-6)
    np.testing.assert_allclose(recording.resolution, abs(millivolts))


def test_units_in_latin_1(tmp_path):
    path = write_challenge(tmp_path, random_values(), gain="1/µV")
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    np.testing.assert_allclose(read_record(path).signal, random_values() / 1000, rtol=1e-6)


def test_baselines(tmp_path):
    counts = random_values()
    path = write_challenge(tmp_path, counts, gain="1000(25)/mV")
    np.testing.assert_allclose(read_record(path).signal, (counts - 25.0) / 1000, rtol=1e-5, atol=1e-9)
    edit(path, "1000(25)/mV 16 0", "1000/mV 16 -40")  # Without a baseline, the converter's zero is it.
    np.testing.assert_allclose(read_record(path).signal, (counts + 40.0) / 1000, rtol=1e-5, atol=1e-9)


@settings(in_one_folder, max_examples=20)
@given(order=st.permutations(range(12)), upper=st.lists(st.booleans(), min_size=12, max_size=12))
def test_leads_are_found_by_name_in_any_order_and_case(tmp_path, order, upper):
    counts = random_values()
    names = [LEADS[i].upper() if up else LEADS[i].lower() for i, up in zip(order, upper, strict=True)]
    path = write_challenge(tmp_path, counts[:, list(order)], names=names)
    np.testing.assert_allclose(read_record(path).signal, counts / 1000, rtol=1e-6)


def test_other_leads_are_ignored(tmp_path):
    counts = np.hstack([random_values()[:, :3] * 2, random_values()])
    path = write_challenge(tmp_path, counts, names=("vx", "vy", "vz", *LEADS), record="X 15 500 60")
    np.testing.assert_allclose(read_record(path).signal, random_values() / 1000, rtol=1e-6)


@pytest.mark.parametrize("record", ["X 12 500 60", "X.mat 12 500 60", "X 12 500.0/500(0) 60 12:00:00", "X 12 500"])
def test_record_lines(tmp_path, record):
    path = write_challenge(tmp_path, random_values(), record=record)
    assert read_record(path).signal.shape == (60, 12)


@pytest.mark.parametrize(
    ("comments", "codes", "age", "sex"),
    [
        ("#Age: 74\n#Sex: Male\n#Dx: 1,2", ("1", "2"), 74, "M"),
        ("# Age: 5.5\n# Sex: F\n# Dx: RBBB, AF", ("RBBB", "AF"), 5.5, "F"),
        ("#age: NaN\n#sex: Unknown\n#dx:", (), None, None),
        ("#Age: sixty\n#Sex: 1\n#Dx: A\n#Dx: B", ("A", "B"), None, None),
        ("#Age: 300\n#Sex: female", (), None, "F"),
        ("#Age: -1\n#Dx: 284470004,284470004", ("284470004", "284470004"), None, None),
    ],
)
def test_comments(tmp_path, comments, codes, age, sex):
    recording = read_record(write_challenge(tmp_path, random_values(), comments=comments))
    assert (recording.codes, recording.age, recording.sex) == (codes, age, sex)


def test_any_file_of_the_record_names_it(tmp_path):
    path = write_challenge(tmp_path, random_values())
    for name in (path, str(path), path.with_suffix(".mat"), path.with_suffix("")):
        assert read_record(name).id == "X"


def write_dat(folder: Path, counts: np.ndarray, fmt: str, names=LEADS) -> Path:
    wfdb.wrsamp("d", fs=500, units=["mV"] * len(names), sig_name=list(names), d_signal=counts.astype(int),
                fmt=[fmt] * len(names), adc_gain=[200.0] * len(names), baseline=[3] * len(names),
                write_dir=str(folder))  # fmt: skip
    return folder / "d.hea"


FORMATS = ["16", "24", "32", "80", "212", "508", "516", "524"]


@pytest.mark.parametrize("fmt", FORMATS)
def test_wfdb_formats(tmp_path, fmt):
    counts = random_values() // 10
    recording = read_record(write_dat(tmp_path, counts, fmt))
    np.testing.assert_allclose(recording.signal, (counts - 3.0) / 200, rtol=1e-6)


@pytest.mark.parametrize("fmt", FORMATS)
def test_truncated_files_are_refused_in_every_format(tmp_path, fmt):
    path = write_dat(tmp_path, random_values() // 10, fmt)
    signal = tmp_path / path.read_text().splitlines()[1].split()[0]
    signal.write_bytes(signal.read_bytes()[:-20])
    with pytest.raises(RecordError, match=r"d\.hea"):
        read_record(path)


def test_leads_in_several_files(tmp_path):
    counts = random_values()
    path = write_dat(tmp_path, counts[:, :6], "16", LEADS[:6])
    first = path.read_text().splitlines()
    path.with_suffix(".dat").rename(tmp_path / "limb.dat")
    second = write_dat(tmp_path, counts[:, 6:], "16", LEADS[6:]).read_text().splitlines()
    lines = [line.replace("d.dat", "limb.dat") for line in first[1:]] + second[1:]
    path.write_text("\n".join(["d 12 500 60", *lines]))
    np.testing.assert_allclose(read_record(path).signal, (counts - 3.0) / 200, rtol=1e-6)


# Refusals


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("1000/mV", "0/mV", "not calibrated"),
        ("1000/mV", "abc", "gain 'abc'"),
        ("1000/mV", "1e999/mV", "not calibrated"),
        ("1000/mV", "1000/foo", "units 'foo'"),
        ("X 12 500 60", "X 12 500 61", "promises 61 samples, the signal file has 60"),
        ("X 12 500 60", "X 12 500 59", "promises 59 samples"),
        ("X 12 500 60", "X 12 500 999999999999", "promises 999999999999 samples"),
        ("X 12 500 60", "X 12 0 60", "sampling rate"),
        ("X 12 500 60", "X 12", "sampling rate is missing"),
        ("X 12 500 60", "X 13 500 60", "promises 13 signals, 12 are described"),
        ("X 12 500 60", "X/3 12 500 60", "several segments"),
        ("X 12 500 60", "\x00\x01", "no WFDB record line"),
        (" 0 V6", " 0 V5", "no lead V6 and more than one lead V5"),
        (" 0 II\n", " 0 MLII\n", "no lead II (xecgnet predict --missing-leads zero takes missing leads as 0 mV);"),
        ("X.mat 16+24", "../X.mat 16+24", "not a plain name"),
        ("X.mat 16+24", "/etc/passwd 16+24", "not a plain name"),
        ("X.mat 16+24", "..\\X.mat 16+24", "not a plain name"),
        ("X.mat 16+24", ".. 16+24", "not a plain name"),
        ("X.mat 16+24", "~ 0", "not a plain name"),
        ("X.mat 16+24", "Y.mat 16+24", "Y.mat is missing"),
        ("16+24", "16x2+24", "several samples per frame"),
        ("16+24", "16:3+24", "skew"),
        ("16+24", "16", "promises 60 samples, the signal file has 61"),
        ("16+24", "16+23", "does not hold whole samples"),
        ("16+24", "16+999999999", "does not hold whole samples"),
        ("16+24", "99", "storage format '99' is none of WFDB's"),
        ("16+24", "-1", "storage format '-1'"),
    ],
)  # fmt: skip
def test_headers_that_are_refused(tmp_path, old, new, cause):
    path = edit(write_challenge(tmp_path, random_values()), old, new)
    with pytest.raises(RecordError, match=r"X\.hea: ") as refused:
        read_record(path)
    assert cause in str(refused.value)


def test_eleven_leads(tmp_path):
    path = write_challenge(tmp_path, random_values()[:, :11], names=LEADS[:11], record="X 11 500 60")
    with pytest.raises(RecordError, match="no lead V6"):
        read_record(path)


def test_damage_shows_in_the_checksum(tmp_path):
    path = write_challenge(tmp_path, random_values())
    content = bytearray(path.with_suffix(".mat").read_bytes())
    content[24 + 2 * 3] ^= 64  # the first sample of aVR
    path.with_suffix(".mat").write_bytes(content)
    with pytest.raises(RecordError, match="checksum of lead aVR"):
        read_record(path)


def test_headers_without_checksums_are_read(tmp_path):
    counts = random_values()
    path = write_challenge(tmp_path, counts)
    for total in {int(column.sum(dtype=int)) % 65536 for column in counts.T}:
        edit(path, f" {total} 0 ", " 0 0 ")
    assert read_record(path).signal.shape == (60, 12)


@pytest.mark.parametrize(("fmt", "mark"), [("16", -32768), ("212", -2048), ("24", -(2**23))])
def test_samples_marked_invalid_are_refused(tmp_path, fmt, mark):
    counts = random_values().astype(int)
    counts[5:8, 10] = mark
    with pytest.raises(RecordError, match="3 in V5"):
        read_record(write_dat(tmp_path, counts, fmt))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"#Dx: 1\n", b"\xff\xfe\x00", b"A" * 2_000_000])
def test_files_that_are_no_headers(tmp_path, content):
    path = tmp_path / "X.hea"
    path.write_bytes(content)
    for read in (read_header, read_record):
        with pytest.raises(RecordError, match=r"X\.hea"):
            read(path)


@pytest.mark.parametrize("name", ["missing.hea", "missing.mat", "missing", "."])
def test_files_that_are_not_there(tmp_path, name):
    with pytest.raises(RecordError, match=str(tmp_path)):
        read_record(tmp_path / name)


@given(text=st.text(max_size=200), line=st.integers(0, 12))
@in_one_folder
def test_no_header_makes_another_error(tmp_path, text, line):
    path = write_challenge(tmp_path, random_values())
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line] = text
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        assert read_record(path).signal.shape == (60, 12)
    except RecordError as error:
        assert "X.hea" in str(error)


# CPSC2018's MATLAB files


def write_cpsc(path: Path, data: object, compressed: bool = False, **fields: object) -> Path:
    savemat(path, {"ECG": {"sex": "Male", "age": 52, "data": data, **fields}}, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("fields", "age", "sex"),
    [
        ({}, 52, "M"), ({"age": np.nan, "sex": "Female"}, None, "F"), ({"age": "71"}, 71, "M"),
        ({"age": [], "sex": ""}, None, None),
        ({"age": {"a": 1}, "sex": np.array([1, "a"], object)}, None, None),
    ],
)  # fmt: skip
def test_cpsc_structs(tmp_path, compressed, fields, age, sex):
    data = np.random.default_rng(0).normal(size=(12, 40))
    recording = read_record(write_cpsc(tmp_path / "A0001.mat", data, compressed, **fields))
    np.testing.assert_array_equal(recording.signal, data.T.astype(np.float32))
    assert (recording.id, recording.age, recording.sex, recording.codes) == ("A0001", age, sex, ())
    assert read_header(tmp_path / "A0001.mat").length == 40


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (np.zeros((13, 40)), "12 leads"),
        (np.zeros((40, 12)), "12 leads"),
        (np.zeros((12, 0)), "no samples"),
        (np.zeros((12, 40), np.int16), "int16"),
        (np.zeros((12, 4, 10)), "12 leads"),
        (np.full((12, 40), np.nan), "40 in V6"),
        (np.full((12, 40), 1e300), "not finite"),
        (np.zeros((12, 40), complex), "no real numbers"),
        (np.array([[1, "a"]], object), "no real numbers"),
        ("text", "no real numbers"),
        ({"data": np.zeros((12, 40))}, "no real numbers"),
    ],
    ids=str,
)
def test_cpsc_structs_that_are_refused(tmp_path, data, cause):
    with pytest.raises(RecordError, match=r"A0001\.mat") as refused:
        read_record(write_cpsc(tmp_path / "A0001.mat", data))
    assert cause in str(refused.value)


def test_a_challenge_file_without_its_header(tmp_path):
    write_challenge(tmp_path, random_values()).unlink()
    with pytest.raises(RecordError, match=r"needs its header X\.hea"):
        read_record(tmp_path / "X.mat")


@given(content=st.binary(max_size=400), as_matlab=st.booleans())
@in_one_folder
def test_random_bytes_are_no_recording(tmp_path, content, as_matlab):
    path = tmp_path / "A0001.mat"
    path.write_bytes(b"\0" * 124 + b"\x00\x01IM" + content if as_matlab else content)
    with pytest.raises(RecordError, match=r"A0001\.mat"):
        read_record(path)


@given(at=st.integers(0, 400), value=st.integers(0, 255), compressed=st.booleans())
@settings(in_one_folder, max_examples=150)
def test_damage_is_refused_or_harmless(tmp_path, at, value, compressed):
    """Damage among the tags of the format; where this file stores the samples it cannot be noticed."""
    data = np.arange(12 * 40.0).reshape(12, 40) / 7
    path = write_cpsc(tmp_path / "A0001.mat", data, compressed)
    content = bytearray(path.read_bytes())
    samples = len(content) if compressed else content.find(struct.pack("<d", data[0, 0]) + data[1:2, 0].tobytes())
    position = 128 + at % (min(samples, len(content)) - 128)
    content[position] = value
    path.write_bytes(content)
    try:
        np.testing.assert_array_equal(read_record(path).signal, data.T.astype(np.float32))
    except RecordError as error:
        assert "A0001.mat" in str(error)


@needs_shared
def test_damage_that_crashes_other_readers(tmp_path):
    """Zlib passes these bytes on before it can notice, and scipy's reader then leaves its buffers."""
    content = bytearray(CPSC[0].read_bytes())
    content[305] = 233
    (tmp_path / "A1980.mat").write_bytes(content)
    with pytest.raises(RecordError, match="damaged"):
        read_record(tmp_path / "A1980.mat")


def test_a_small_file_that_inflates_without_end(tmp_path):
    bomb = zlib.compress(b"\0" * (2**27 + 1), 9)
    path = tmp_path / "A0001.mat"
    path.write_bytes(b"\0" * 124 + b"\x00\x01IM" + struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(RecordError, match="too large"):
        read_record(path)


# Resampling


@pytest.mark.parametrize("source_rate", [250, 257, 360, 400, 500, 1000])
def test_resampling_keeps_frequency_amplitude_and_baseline(source_rate):
    seconds = np.arange(4 * source_rate) / source_rate
    signal = 5.0 + np.sin(2 * np.pi * 7 * seconds)[:, None] * np.ones(12)
    out = resample(signal, source_rate, 500)
    expected = 5.0 + np.sin(2 * np.pi * 7 * np.arange(2000) / 500)
    assert out.shape == (2000, 12)
    np.testing.assert_allclose(out[100:-100, 3], expected[100:-100], atol=5e-3)  # the ripple of scipy's filter
    assert np.abs(out - 5.0).max() < 1.1  # no ringing from the baseline at the ends


# Start of worker processes


def test_importing_the_readers_is_quick():
    """Worker processes import them; jax, wfdb and scipy would each add a good part of a second."""
    code = "import sys, xecgnet_jax.data.corpora; print({'jax', 'wfdb', 'scipy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# What the specification allows, and people have


@pytest.mark.parametrize(
    "line", ["X 12 500 0", "X 12 5e2 60", "X 12 500", "records500/00000/X 12 500 60", "../elsewhere/X 12 500 60"]
)
def test_record_lines_that_the_format_allows(tmp_path, line):
    """Length 0 is unknown; names hold folders in PTB-XL+, and are not followed."""
    path = write_dat(tmp_path, random_values(), "16")
    text = path.read_text()
    first = text.splitlines()[0]
    path.write_text(text.replace(first, line, 1))
    recording = read_record(path)
    assert recording.signal.shape == (60, 12) and recording.rate == 500 and recording.id == path.stem


def test_more_signal_lines_than_signals_are_ignored(tmp_path):
    path = write_dat(tmp_path, random_values(), "16")
    expected = read_record(path).signal
    path.write_text(path.read_text() + "other.dat 16 200 16 0 0 0 0 V9\n")
    np.testing.assert_array_equal(read_record(path).signal, expected)


@pytest.mark.parametrize("letter", ["\x85", "\u2028", "\x0c", "\x1c"])
def test_only_line_feeds_end_a_line(tmp_path, letter):
    path = write_dat(tmp_path, random_values(), "16")
    text = f"{path.read_text()}#Note: a{letter}b\n#Dx: 59118001\n"
    path.write_bytes(text.encode())
    assert read_record(path).codes == ("59118001",)


@pytest.mark.parametrize(
    "text", ["59118001;164889003", "59118001|164889003", "['59118001', '164889003']", '"59118001",164889003']
)
def test_codes_in_the_ways_that_people_write_them(tmp_path, text):
    path = write_challenge(tmp_path, random_values(), comments=f"#Dx: {text}\n")
    assert read_record(path).codes == ("59118001", "164889003")
