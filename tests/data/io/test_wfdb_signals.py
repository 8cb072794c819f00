"""Signal files of WFDB in every format: exact, or refused where they do not fit their header."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import wfdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.io.wfdb_files import BITS, FLAC, in_millivolts, random_counts, write_record
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

formats = pytest.mark.parametrize("fmt", BITS)
#: The twelve leads and one more: an odd number of signals, so that a block of bytes holds parts of two samples.
NAMES = ("X", *LEADS)


def files_for(fmt: int) -> list[int]:
    return [fmt, fmt] if fmt in FLAC else [fmt]


@formats
@pytest.mark.parametrize("offset", [0, 1, 24])
def test_every_format_is_read_exactly(tmp_path, fmt, offset):
    for samples in (1, 2, 3, 50, 61):
        values = random_counts(fmt, samples, len(NAMES))
        path = write_record(tmp_path, values, files_for(fmt), names=NAMES, offset=offset)
        np.testing.assert_array_equal(read_record(path).signal, in_millivolts(values)[:, 1:])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    formats=st.lists(st.sampled_from(list(BITS)), min_size=2, max_size=4),
    order=st.permutations(range(12)),
    samples=st.integers(1, 40),
    offset=st.integers(0, 30),
    stated=st.booleans(),
    seed=st.integers(0, 99),
)
def test_permuted_lines_in_several_files_and_formats(tmp_path, formats, order, samples, offset, stated, seed):
    narrow = min(formats, key=BITS.__getitem__)
    values = random_counts(80 if 8 in formats else narrow, samples, seed=seed) // 2  # differences have 8 bits, too
    names = [LEADS[lead] for lead in order]
    path = write_record(tmp_path, values, formats, names=names, offset=offset, length=None if stated else 0)
    expected = np.empty_like(values)
    expected[:, order] = values
    np.testing.assert_array_equal(read_record(path).signal, in_millivolts(expected))


@pytest.mark.skipif(os.name == "nt", reason="names of files are Unicode there whatever the locale")
def test_names_beyond_the_encoding_of_the_system(tmp_path):
    """The record names a signal file that a locale of ASCII cannot open."""
    path = write_record(tmp_path, random_counts(16, 60), [16])
    [signals] = set(tmp_path.iterdir()) - {path}
    signals.rename(tmp_path / "Müller.dat")
    path.write_text(path.read_text(encoding="utf-8").replace(f"{signals.name} ", "Müller.dat "), encoding="utf-8")
    assert len(read_record(path).signal) == 60
    code = "import pathlib, sys, xecgnet_jax.data.io.wfdb as wfdb; wfdb.read_record(pathlib.Path(sys.argv[1]))"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, encoding="utf-8", env=os.environ | ascii_only
    )
    assert r"'M\xfcller.dat' cannot be opened in the encoding of this system. Set a UTF-8 locale." in done.stderr


@pytest.mark.parametrize("fmt", [fmt for fmt in BITS if fmt not in (8, *FLAC)])
def test_the_wfdb_package_reads_the_same(tmp_path, fmt):
    """Another reader of the same bytes: what is wrong in the encoders would not be found by them."""
    path = write_record(tmp_path, random_counts(fmt, 60), [fmt])
    expected = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
    np.testing.assert_array_equal(read_record(path).signal, expected.astype(np.float32))


@formats
@pytest.mark.parametrize("checksums", [True, False])
def test_the_header_states_the_length_of_the_file(tmp_path, fmt, checksums):
    values = random_counts(fmt, 60, len(NAMES))
    for length in (30, 59, 61, 1000):
        path = write_record(tmp_path, values, files_for(fmt), names=NAMES, length=length, checksums=checksums)
        with pytest.raises(RecordError, match=rf"r\.hea: r0\.dat: the header promises {length} samples.* has 60"):
            read_record(path)


@formats
@pytest.mark.parametrize("length", [60, 0])
def test_a_file_that_ends_inside_a_sample_is_refused(tmp_path, fmt, length):
    path = write_record(tmp_path, random_counts(fmt, 60, len(NAMES)), files_for(fmt), names=NAMES, length=length)
    content = (tmp_path / "r0.dat").read_bytes()
    for cut in (1, 20, len(content)):
        (tmp_path / "r0.dat").write_bytes(content[: len(content) - cut])
        with pytest.raises(RecordError, match=r"r\.hea"):
            read_record(path)


@pytest.mark.parametrize("fmt", [fmt for fmt in BITS if fmt not in FLAC])
def test_a_file_with_a_sample_more_is_refused(tmp_path, fmt):
    path = write_record(tmp_path, random_counts(fmt, 60, len(NAMES)), [fmt], names=NAMES, checksums=False)
    with (tmp_path / "r0.dat").open("ab") as file:
        file.write(bytes(5))
    with pytest.raises(RecordError, match=r"r0\.dat: "):
        read_record(path)


@pytest.mark.parametrize(("fmt", "samples", "more"), [(212, 1, 1), (310, 1, 2), (311, 1, 2), (311, 5, 1)])
def test_the_last_block_may_be_filled_up(tmp_path, fmt, samples, more):
    """As the software of WFDB does where 13 signals leave a block unfinished."""
    values = random_counts(fmt, samples, len(NAMES))
    path = write_record(tmp_path, values, [fmt], names=NAMES)
    with (tmp_path / "r0.dat").open("ab") as file:
        file.write(bytes(more))
    np.testing.assert_array_equal(read_record(path).signal, in_millivolts(values)[:, 1:])


@pytest.mark.parametrize("pair", [(16, 16), (212, 16), (516, 24)])
def test_two_files_of_unequal_length_are_refused(tmp_path, pair):
    path = write_record(tmp_path, random_counts(212, 60), pair, length=0)
    write_record(tmp_path / "long", random_counts(212, 61), pair, length=0)
    (tmp_path / "long" / "r1.dat").replace(tmp_path / "r1.dat")
    with pytest.raises(RecordError, match=r"r\.hea: its signal files have different numbers of samples: 60, 61"):
        read_record(path)


@pytest.mark.parametrize("other", ["212", "16x2", "16:1", "16+4"])
def test_formats_mixed_in_a_file_are_refused_also_for_a_signal_that_is_not_wanted(tmp_path, other):
    path = write_record(tmp_path, random_counts(16, 60, 13), [16], names=(*LEADS, "X"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].replace(".dat 16 ", f".dat {other} ")]))
    with pytest.raises(RecordError, match=r"r\.hea: .*not supported"):
        read_record(path)


def test_flac_of_other_numbers_and_what_is_no_flac_is_refused(tmp_path):
    values = random_counts(516, 60)
    path = write_record(tmp_path, values, (516, 516))
    good = (tmp_path / "r0.dat").read_bytes()
    for content, said in (
        (b"RIFF" + good[4:], "no FLAC file"),
        (good[:40] + bytes(len(good) - 40), "damaged or cut off|samples"),
        ((tmp_path / "r1.dat").read_bytes()[:100], "r0.dat"),
    ):
        (tmp_path / "r0.dat").write_bytes(content)
        with pytest.raises(RecordError, match=said):
            read_record(path)
    write_record(tmp_path, random_counts(516, 60, 4), (516, 516), names=LEADS[:4])
    write_record(tmp_path / "more", values, (516, 516))
    (tmp_path / "more" / "r0.dat").write_bytes((tmp_path / "r0.dat").read_bytes())
    with pytest.raises(RecordError, match="2 signals of 16 bits, the header says 6"):
        read_record(tmp_path / "more" / "r.hea")


def test_wider_flac_than_stated_is_refused(tmp_path):
    path = write_record(tmp_path, random_counts(524, 60), (524, 524))
    path.write_text(path.read_text().replace(".dat 524 ", ".dat 508 "))
    with pytest.raises(RecordError, match="6 signals of 24 bits, the header says 6 of 8"):
        read_record(path)


def test_an_eight_bit_stream_may_stand_for_a_wider_format(tmp_path):
    values = random_counts(508, 60)
    path = write_record(tmp_path, values, (508, 508))
    path.write_text(path.read_text().replace(".dat 508 ", ".dat 516 "))
    np.testing.assert_array_equal(read_record(path).signal, in_millivolts(values))


# Names: the header is parsed once


def test_names_in_any_script_are_those_of_their_own_files(tmp_path):
    """The wfdb package drops letters that are not ASCII: it read `7` for `患者7`."""
    expected = {}
    for seed, name in enumerate(("7", "患者7", "a::b", "s3:7", "7é")):
        folder = tmp_path / "x::y"
        values = random_counts(61, 60, seed=seed)
        made = write_record(folder, values, [61], checksums=False)
        (folder / "r0.dat").rename(folder / f"{name}.dat")
        made.write_text(made.read_text().replace("r0.dat", f"{name}.dat").replace("r 12", f"{name} 12"))
        made.rename(folder / f"{name}.hea")
        expected[folder / f"{name}.hea"] = in_millivolts(values)
    for path, signal in expected.items():
        np.testing.assert_array_equal(read_record(path).signal, signal)


# Bounds: the size is known before anything is read


def sparse(path, size):
    with path.open("r+b") as file:
        os.truncate(file.fileno(), size)


@pytest.mark.parametrize("length", [60, 0])
def test_an_enormous_signal_file_is_refused_by_its_size(tmp_path, length):
    path = write_record(tmp_path, random_counts(16, 60), [16], length=length)
    sparse(tmp_path / "r0.dat", 24 * 10**10)
    with pytest.raises(RecordError, match=r"promises 60 samples|samples are too many for one ECG"):
        read_record(path)


def test_an_enormous_file_without_header_is_refused_by_its_size(tmp_path):
    (tmp_path / "A0001.mat").write_bytes(bytes(200))
    sparse(tmp_path / "A0001.mat", 10**11)
    with pytest.raises(RecordError, match=r"larger than 134,217,728 bytes"):
        read_record(tmp_path / "A0001.mat")
