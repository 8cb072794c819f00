"""Files from strangers: nothing is waited for, read without end, or takes more than its size explains."""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.io.wfdb_files import random_counts, write_record
from xecgnet_jax.config import read_config_file
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.io.discover import find_recording_files, read_recording
from xecgnet_jax.data.io.fields import MOST_CODES
from xecgnet_jax.data.io.table import read_table
from xecgnet_jax.data.io.time_column import NUMBER, TimeColumn
from xecgnet_jax.data.io.walk import walk_folders
from xecgnet_jax.data.io.wfdb import read_header, read_record
from xecgnet_jax.data.io.wfdb_header import COMMENT, FORMAT_FIELD, GAIN_FIELD, parse_header
from xecgnet_jax.data.labels import CPSC2018, read_vocabulary
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.splits import read_split
from xecgnet_jax.errors import ConfigError, RecordError, SplitError, XECGNetError
from xecgnet_jax.files import open_regular, read_bytes

# What is no regular file


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def make_folder(path: Path) -> None:
    path.mkdir()


IRREGULAR = [(make_pipe, "is a pipe"), (link_to_device, "is a device"), (link_to_itself, "symbolic links")]
irregular = pytest.mark.parametrize(("make", "said"), IRREGULAR)


@irregular
@pytest.mark.parametrize("name", ["x.hea", "x.mat", "x.csv", "x.npy", "x.xml"])
def test_only_regular_files_are_recordings(tmp_path, name, make, said):
    make(tmp_path / name)
    with pytest.raises(RecordError, match=said):
        read_recording(tmp_path / name, rate=500, units="mV", leads=LEADS)
    found = find_recording_files([tmp_path])  # a header is refused when it is read, all else is told here
    if found.recordings:
        with pytest.raises(RecordError, match=said):
            read_record(found.recordings[0].path)
    elif not name.endswith("csv"):
        assert said in found.ignored[0][1]


@irregular
def test_signal_files_are_regular(tmp_path, make, said):
    path = write_record(tmp_path, random_counts(16, 60), [16])
    (tmp_path / "r0.dat").unlink()
    make(tmp_path / "r0.dat")
    with pytest.raises(RecordError, match=rf"r\.hea: its signal file r0\.dat cannot be read \(.*{said}"):
        read_record(path)


@pytest.mark.parametrize(("make", "said"), [*IRREGULAR, (make_folder, "is a folder")])
def test_the_table_of_a_corpus_is_a_regular_file(tmp_path, make, said):
    make(tmp_path / "labels.csv")
    with pytest.raises(XECGNetError, match=rf"labels\.csv: .*{said}"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(("make", "said"), [*IRREGULAR, (make_folder, "is a folder")])
def test_what_cannot_be_a_file_is_named(tmp_path, make, said):
    make(tmp_path / "x")
    with pytest.raises(OSError, match=said):
        open_regular(tmp_path / "x")


def test_a_socket_is_named():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/x")
        with pytest.raises(OSError, match="is a socket"):
            open_regular(f"{folder}/x")


def test_a_bound_holds_before_reading_and_while_reading(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    assert read_bytes(tmp_path / "x", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "x", 4)
    with pytest.raises(OSError, match="longer than the system says"):
        read_bytes("/proc/self/status", 10**6)  # says that it has no bytes


def test_a_file_that_is_no_header_is_not_quoted(tmp_path):
    (tmp_path / "secret").write_text("hunter2:x:0:0\n")
    (tmp_path / "x.hea").symlink_to("secret")
    with pytest.raises(RecordError, match="the first line is no WFDB record line") as refused:
        read_record(tmp_path / "x.hea")
    assert "hunter2" not in str(refused.value)


@pytest.fixture
def deep_tree(tmp_path: Path) -> Iterator[Path]:
    """A folder with more folders in each other than Python's calls may be nested; pytest could not remove it."""
    (tmp_path / "file").touch()
    deepest = os.path.join(tmp_path, *"d" * 1100)  # noqa: PTH118
    folder = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    yield tmp_path
    os.removedirs(deepest)


def test_a_tree_of_many_folders_is_walked(deep_tree):
    assert sum(1 for _ in walk_folders(deep_tree, [])) == 1101


# Work grows as the text does


def growth(work: Callable[[int], object], size: int) -> float:
    """How many times the CPU time of twice the size is that of the size; the best of several."""

    def seconds(of: int) -> float:
        best = float("inf")
        for _ in range(7):
            begin = time.process_time()
            work(of)
            best = min(best, time.process_time() - begin)
        return best

    return (seconds(2 * size) + 1e-4) / (seconds(size) + 1e-4)


@pytest.mark.parametrize(
    "pattern", [GAIN_FIELD, FORMAT_FIELD, NUMBER, COMMENT], ids=lambda pattern: pattern.pattern[:9]
)
@pytest.mark.parametrize("text", ["1", "1.", ".1", "1e", "+", "a ", "# ", "#a", "#a :", "1(1)/"])
def test_no_expression_takes_more_than_the_length_of_its_text(pattern, text):
    assert growth(lambda size: pattern.fullmatch(text * size + "\n"), 4000) < 3


def header_growth(tmp_path: Path, change: Callable[[str, int], str], size: int) -> float:
    path = write_record(tmp_path, random_counts(16, 60), [16])
    text = path.read_text()

    def work(of: int) -> None:
        path.write_text(change(text, of))
        with suppress(RecordError):
            read_record(path)

    return growth(work, size)


@pytest.mark.parametrize(
    "change",
    [
        lambda text, size: text.replace("200(3)", "1" * size + "x"),
        lambda text, size: text.replace("r 12", "1/" * size + " 12"),
        lambda text, size: text + "#Dx: 1\n" * (10 * size),
        lambda text, size: text + f"#Dx: {'1,' * 10 * size}\n",
        lambda text, size: text + "#" + " " * 10 * size + "x\n",
    ],
    ids=["gain", "name", "lines", "codes", "blanks"],
)
def test_headers_take_time_in_proportion_to_their_length(tmp_path, change):
    assert header_growth(tmp_path, change, 2000) < 3


@pytest.mark.parametrize("column", ["I", "time"])
def test_cells_of_many_digits_take_time_in_proportion(tmp_path, column):
    def work(size: int) -> None:
        cells = ["1" * size + "x" if name == column else "0" for name in ("time", *LEADS)]
        (tmp_path / "t.csv").write_text(",".join(("time", *LEADS)) + "\n" + ",".join(cells) + "\n")
        with suppress(RecordError):
            read_table(tmp_path / "t.csv", units="mV", longest=10)

    assert growth(work, 2000) < 3


def test_many_codes_take_time_in_proportion():
    assert growth(lambda size: CPSC2018.classes_of([f"code {number}" for number in range(size)]), 2000) < 3


# Numbers and lengths


def header_with(tmp_path: Path, old: str, new: str) -> Path:
    path = write_record(tmp_path, random_counts(16, 60), [16], checksums=False)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r 12 500 6O", "the number of samples '6O' is no whole number"),
        ("r 12 500 -60", "the number of samples '-60' is no whole number"),
        ("r 12 500 10000000000000", "the number of samples '10000000000000' is no whole number"),
        ("r 12 500 60.5", "the number of samples '60.5' is no whole number"),
        ("r 12 0 60", "the sampling rate is 0 Hz; an ECG has 50 to 100,000 Hz"),
        ("r 12 -1 60", "the sampling rate is -1 Hz"),
        ("r 12 nan 60", "the sampling rate 'nan' is no number"),
        ("r 12 1000000000 60", r"the sampling rate is 1e\+09 Hz"),
        ("r 12 ٥٠٠ 60", "the sampling rate '٥٠٠' is no number"),
        ("r 12 12:00:00", "the sampling rate '12:00:00' is no number"),
    ],
)
def test_malformed_numbers_do_not_count_as_absent(tmp_path, line, said):
    """Half of the samples are gone, and no checksum tells: only the header's first line can."""
    path = header_with(tmp_path, "r 12 500 60", line)
    (tmp_path / "r0.dat").write_bytes((tmp_path / "r0.dat").read_bytes()[: 30 * 24])
    with pytest.raises(RecordError, match=rf"r\.hea: {said}"):
        read_record(path)


@pytest.mark.parametrize("gain", ["1e307/uV", "1e-308/mV", "1e-323/V", "1e308/V", "1e-6/mV", "-1e-6/mV", "1e13/mV"])
@pytest.mark.filterwarnings("error")
def test_gains_that_no_recorder_has_are_refused(tmp_path, gain):
    with pytest.raises(RecordError, match=rf"the gain '{gain}' is that of no recorder"):
        read_record(header_with(tmp_path, "200(3)/mV", gain))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("200(3)/mV", "z" * 5000),
        ("200(3)/mV", "1/" + "z" * 5000),
        (" V6", " " + "z" * 5000),
        ("16 200", "1" * 5000 + " 200"),
    ],
    ids=["gain", "units", "lead", "format"],
)
def test_messages_are_short(tmp_path, old, new):
    with pytest.raises(RecordError) as refused:
        read_record(header_with(tmp_path, old, new))
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


def test_thousands_of_leads_are_not_listed(tmp_path):
    path = tmp_path / "r.hea"
    path.write_text("r 9999 500 60\n" + "".join(f"r0.dat 16 200/mV 16 0 0 0 0 z{at}\n" for at in range(9999)))
    with pytest.raises(RecordError) as refused:
        read_record(path)
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("codes", ["1," * (MOST_CODES + 1), "A" * 201])
def test_codes_are_bounded(tmp_path, codes):
    path = header_with(tmp_path, "r 12 500 60\n", f"#Dx: {codes}\nr 12 500 60\n")
    with pytest.raises(RecordError, match=r"#Dx: lists .* codes of up to"):
        read_header(path)
    assert (
        len(parse_header(header_with(tmp_path, "r 12 500 60\n", f"#Dx: {'1,' * MOST_CODES}\nr 12 500 60\n")).codes)
        == 1000
    )


# Tables


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (",".join(LEADS) + ",x" * 40_000 + "\n" + "0," * 11 + "0\n", "its first line is longer than 65536"),
        (",".join(LEADS) + "\n" + "0," * 40_000 + "0\n", "a row is longer than 65536"),
        (",".join(LEADS) + "\n" + '"0\n",' * 40_000 + "0\n", "a row is longer than 65536"),
    ],
    ids=["first", "row", "quoted"],
)
def test_rows_of_a_table_are_bounded(tmp_path, content, said):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(RecordError, match=said):
        read_table(tmp_path / "t.csv", units="mV", longest=10)


def test_numbers_of_a_time_column_are_bounded():
    column = TimeColumn()
    column.add(["0", "1" * 131_000])
    assert column.step() is None


# MATLAB files


def element(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload + bytes(-len(payload) % 8)


def compressed(content: bytes) -> bytes:
    deflated = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(deflated)) + deflated


def matlab_file(path: Path, content: bytes) -> Path:
    path.write_bytes(bytes(124) + b"\x00\x01IM" + content)
    return path


def parts() -> Iterator[bytes]:
    """Flags, shape and name of a struct ECG of one element."""
    yield element(6, struct.pack("<II", 2, 0))
    yield element(5, struct.pack("<ii", 1, 1))
    yield element(1, b"ECG")


def test_many_small_elements_are_refused(tmp_path):
    fields = element(5, struct.pack("<i", 4)) + element(1, b"a\0\0\0" * 5000) + element(14, b"") * 5000
    for content in (element(1, b"") * 20_000, b"".join(parts()) + fields):
        path = matlab_file(tmp_path / "A0001.mat", compressed(element(14, content)))
        with pytest.raises(RecordError, match="it holds more than 1000 elements"):
            read_record(path)


def test_a_file_is_bounded_not_each_of_its_elements(tmp_path):
    other = element(
        14, b"".join([element(6, bytes(8)), element(5, bytes(8)), element(1, b"x"), element(1, bytes(2**25))])
    )
    path = matlab_file(tmp_path / "A0001.mat", compressed(other) * 20)
    with pytest.raises(RecordError, match="too large for a recording"):
        read_record(path)


def test_neither_long_texts_nor_arrays_are_an_age(tmp_path):
    data = np.zeros((12, 40))
    savemat(tmp_path / "A0001.mat", {"ECG": {"sex": "M" * 10**6, "age": np.ones(10**6), "data": data}})
    recording = read_record(tmp_path / "A0001.mat")
    assert (recording.age, recording.sex) == (None, None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
@pytest.mark.parametrize("what", ["config", "vocabulary", "split", "compressed split"])
def test_settings_are_read_from_regular_files_only(tmp_path, what):
    """A pipe would be waited for forever."""
    path = tmp_path / {"config": "c.json", "vocabulary": "v.toml", "split": "s.csv"}.get(what, "s.csv.gz")
    os.mkfifo(path)
    read, error = {
        "config": (read_config_file, ConfigError),
        "vocabulary": (lambda one: read_vocabulary(str(one)), ConfigError),
    }.get(what, (read_split, SplitError))
    with pytest.raises(error, match=path.name):
        read(path)


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -500.0, 1e-9])
def test_rates_that_no_ecg_has_are_refused(tmp_path, rate):
    path = tmp_path / "a.csv"
    np.savetxt(path, np.zeros((20, 12)), delimiter=",", header=",".join(LEADS), comments="")
    with pytest.raises(RecordError, match=r"a.csv: --rate is .*; an ECG has 50 to 100,000 Hz"):
        read_recording(path, rate=rate, units="mV")
