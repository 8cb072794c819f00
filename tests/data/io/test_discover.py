"""Files and folders → recordings, each once, and what is none."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.data.small_corpus import converter_values, write_record
from xecgnet_jax.data.io.discover import LONGEST, RecordingFile, find_recording_files, load_recording
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError


def write_table(path, signal) -> None:
    np.savetxt(path, signal, delimiter=",", header=",".join(LEADS), comments="", fmt="%.6f")


@pytest.fixture
def folder(tmp_path):
    """Records a and b (one signal file under another name), a table, and what is no recording."""
    root = tmp_path / "recordings"
    (root / "below").mkdir(parents=True)
    write_record(root, "a", converter_values(0))
    write_record(root / "below", "b", converter_values(1))
    header = root / "below" / "b.hea"
    header.write_text(header.read_text().replace("b.dat", "samples.dat"))
    (root / "below" / "b.dat").rename(root / "below" / "samples.dat")
    write_table(root / "c.csv", read_record(root / "a.hea").signal)
    (root / "labels.csv").write_text("id,labels\na,AF\n")
    (root / "lost.dat").write_bytes(b"12")
    (root / "README.md").write_text("I, II, III")
    (root / ".hidden.csv").write_text(",".join(LEADS))
    return root


def test_a_folder_is_searched_by_content(folder):
    sources = find_recording_files([folder])
    names = [str(source.path.relative_to(folder)) for source in sources.recordings]
    assert names == ["a.hea", "c.csv", "below/b.hea"]
    assert [source.is_table for source in sources.recordings] == [False, True, False]
    assert {path.name: why for path, why in sources.ignored} == {
        "README.md": "no format of recordings",
        "labels.csv": "its first line names no leads, or fewer than three: name it itself",
        "lost.dat": "no header (.hea) describes it",
    }


def test_a_recording_counts_once_however_it_is_named(folder):
    paths = [folder / "a.dat", folder / "a", folder / "a.hea", folder, folder / "below" / ".." / "a.hea"]
    assert find_recording_files(paths).recordings == (
        RecordingFile(folder / "a.hea"),
        RecordingFile(folder / "c.csv", is_table=True),
        RecordingFile(folder / "below" / "b.hea"),
    )


def test_a_mat_without_header_is_a_recording(tmp_path):
    (tmp_path / "A0001.mat").write_bytes(b"")
    (tmp_path / "REFERENCE.csv").write_text("Recording,First_label\nA0001,1\n")
    assert find_recording_files([tmp_path]).recordings == (RecordingFile(tmp_path / "A0001.mat"),)
    with pytest.raises(RecordError, match="no recording of CPSC2018"):
        load_recording(RecordingFile(tmp_path / "A0001.mat"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "no such file or folder"),
        ("README.md", "is no recording"),
        ("many.hdf5", "HDF5 is read as a corpus only"),
        ("lost.dat", "its header lost.hea is missing"),
    ],
)
def test_paths_that_are_no_recording_are_refused(folder, name, said):
    (folder / "README.md").write_text("read me")
    (folder / "many.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(RecordError, match=f"{name}: {said}"):
        find_recording_files([folder / name])


def test_a_table_is_read_as_the_record_that_it_was_made_of(folder):
    record, table = (
        load_recording(RecordingFile(folder / "a.hea")),
        load_recording(RecordingFile(folder / "c.csv", True), rate=500, units="mV"),
    )
    np.testing.assert_array_equal(record.signal, table.signal)
    assert record.signal.dtype == table.signal.dtype == np.float32
    assert record.warnings == table.warnings


def test_other_rates_are_resampled_as_everywhere(folder):
    write_record(folder, "k", converter_values(2), rate=1000)
    read = load_recording(RecordingFile(folder / "k.hea"))
    assert read.rate == 1000
    np.testing.assert_allclose(read.signal, read_record(folder / "k.hea").signal, atol=1e-5)


def test_a_table_needs_rate_and_units(folder):
    with pytest.raises(RecordError, match="give --rate HZ and --units"):
        load_recording(RecordingFile(folder / "c.csv", True))


@pytest.mark.parametrize(("rate", "name", "is_wrong"), [
    (500, "time", False), (250, "time", True), (500, "ms", False), (1000, "ms", True), (250, "sample", False)
])  # fmt: skip
def test_a_column_of_time_contradicts_a_wrong_rate(tmp_path, rate, name, is_wrong):
    step = {"time": 0.002, "ms": 2, "sample": 1}[name]
    signal = np.column_stack([step * np.arange(500), np.random.default_rng(0).normal(size=(500, 12))])
    path = tmp_path / "t.csv"
    np.savetxt(path, signal, delimiter=",", header=f"{name},{','.join(LEADS)}", comments="", fmt="%.6f")
    read = load_recording(RecordingFile(path, True), rate=rate, units="mV")
    assert any("column of time" in one.text for one in read.warnings) == is_wrong
    assert read.notes == (f"columns that are no leads are ignored: {name}",)


@pytest.mark.parametrize(("rate", "scale", "digits"), [(300, 1, 3), (360, 1000, 0), (1000, 1, 2), (500, 1, 0)])
@pytest.mark.parametrize("rows", [4, 700])
def test_a_rounded_column_of_time_contradicts_no_true_rate(tmp_path, rate, scale, digits, rows):
    signal = np.random.default_rng(0).normal(size=(rows, 12))
    lines = [f"time,{','.join(LEADS)}"]
    lines += [f"{scale * at / rate:.{digits}f},{','.join(f'{v:.4f}' for v in row)}" for at, row in enumerate(signal)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    read = load_recording(RecordingFile(path, True), rate=rate, units="mV")
    assert not any("column of time" in one.text for one in read.warnings)
    if rows > 4 and digits + np.log10(scale) > 0:  # Whole seconds tell too little.
        read = load_recording(RecordingFile(path, True), rate=2 * rate, units="mV")
        assert any("column of time" in one.text for one in read.warnings)


def test_suffixes_in_capitals_are_refused_with_what_to_do(folder):
    for name in ("a.HEA", "loud.MAT", "loud.Dat", "labels.CSV"):
        (folder / name).write_text(f"{','.join(LEADS)}\n" if name == "labels.CSV" else "x")
    sources = find_recording_files([folder])
    assert RecordingFile(folder / "labels.CSV", is_table=True) in sources.recordings
    said = {path.name: why for path, why in sources.ignored}
    for name, suffix in (("a.HEA", ".hea"), ("loud.MAT", ".mat"), ("loud.Dat", ".dat")):
        assert said[name].startswith(f"the suffix must be lower case ({suffix}): rename it")
        with pytest.raises(RecordError, match=rf"{name}: the suffix must be lower case \({suffix}\): rename it"):
            find_recording_files([folder / name])


def test_linked_folders_are_listed_not_entered(folder):
    (folder / "again").symlink_to(folder / "below")
    sources = find_recording_files([folder])
    assert [path.name for path in (source.path for source in sources.recordings)] == ["a.hea", "c.csv", "b.hea"]
    assert dict(sources.ignored)[folder / "again"].startswith("a link to a folder")
    assert find_recording_files([folder / "again"]).recordings == (RecordingFile(folder / "again" / "b.hea"),)


def test_folders_that_cannot_be_read_are_listed(folder):
    """Longer than a path may be, which binds root as well as anybody."""
    at = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("x" * 250, dir_fd=at)
        below = os.open("x" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    sources = find_recording_files([folder])
    assert len(sources.recordings) == 3
    (why,) = [why for path, why in sources.ignored if path.name.startswith("x")]
    assert why.startswith("the folder cannot be read (")


def test_samples_that_are_no_voltages_are_refused(folder):
    header = folder / "a.hea"
    header.write_text(header.read_text().replace("/mV", "/V"))
    assert np.isfinite(load_recording(RecordingFile(header)).signal).all()
    lines = header.read_text().splitlines()
    cells = lines[1].split()
    cells[2] = "1e-2/mV"
    header.write_text("\n".join([lines[0], " ".join(cells), *lines[2:]]) + "\n")
    with pytest.raises(RecordError, match=r"a\.hea: samples of \w+ are no voltages, they are beyond 5000 mV"):
        load_recording(RecordingFile(header))


def test_hours_are_refused_before_they_fill_the_memory(folder):
    header = folder / "a.hea"
    header.write_text(header.read_text().replace("a 12 500 500", f"a 12 500 {500 * LONGEST + 1}"))
    with pytest.raises(RecordError, match="too long for one ECG"):
        load_recording(RecordingFile(header))


def test_a_file_that_cannot_be_opened_is_an_error_of_that_file(folder):
    (folder / "a.dat").unlink()
    (folder / "a.dat").mkdir()
    with pytest.raises(RecordError, match=r"a\.hea: "):
        load_recording(RecordingFile(folder / "a.hea"))
