"""Arrays in files: what is read, and what is refused."""

import re
import shlex

import numpy as np
import pytest

from tests import commands as cli
from xecgnet_jax.data.io.array import read_array
from xecgnet_jax.data.io.discover import find_recording_files, load_recording
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import RecordError

MIXED = ["V6", "x", *reversed(LEADS[:11])]


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal((600, 12))


@pytest.mark.parametrize(("units", "factor"), [("mV", 1.0), ("uV", 1e3), ("V", 1e-3)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_columns_in_any_order_and_units(values, tmp_path, units, factor, dtype):
    columns = {name: values[:, at] for at, name in enumerate(LEADS)} | {"x": np.full(600, 9.0)}
    np.save(tmp_path / "a.npy", (np.stack([columns[name] for name in MIXED], axis=1) * factor).astype(dtype))
    found, leads = read_array(tmp_path / "a.npy", units=units, leads=[name.lower() for name in MIXED], longest=600)
    assert leads == LEADS
    np.testing.assert_allclose(found, values, rtol=1e-6)


def test_whole_numbers_and_one_array_of_an_archive(tmp_path):
    counts = np.arange(24, dtype=np.int16).reshape(2, 12)
    np.savez_compressed(tmp_path / "a.npz", ecg=counts)
    np.testing.assert_allclose(read_array(tmp_path / "a.npz", units="uV", leads=LEADS, longest=9)[0], counts / 1e3)


@pytest.mark.parametrize(
    ("content", "leads", "problem"),
    [
        (
            np.zeros((12, 600)),
            LEADS,
            "holds float64 [12, 600], and must be numbers [samples, 12] as --leads names them; transpose",
        ),
        (np.zeros((600, 8)), LEADS, "holds float64 [600, 8]"),
        (np.zeros((2, 600, 12)), LEADS, "holds float64 [2, 600, 12]"),
        (np.zeros((0, 12)), LEADS, "holds float64 [0, 12]"),
        (np.zeros((9, 12), complex), LEADS, "holds complex128"),
        (np.full((9, 12), "1"), LEADS, "holds <U1"),
        (np.zeros((601, 12)), LEADS, "longer than 600 samples"),
        (np.full((9, 12), np.nan), LEADS, "values of I, II, III"),
        (np.zeros((9, 12)), [*LEADS[:11], "V5"], "--leads has no column V6 and more than one column V5"),
    ],
)
def test_what_is_no_recording_is_refused_by_name(tmp_path, content, leads, problem):
    np.save(tmp_path / "a.npy", content)
    with pytest.raises(RecordError, match=r"a\.npy: .*" + re.escape(problem)):
        read_array(tmp_path / "a.npy", units="mV", leads=leads, longest=600)


def test_nothing_in_a_file_is_executed(tmp_path):
    np.save(tmp_path / "a.npy", np.array([print], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 nothing")
    np.savez(tmp_path / "d.npz", one=np.zeros((9, 12)), two=np.zeros(3))
    for name, problem in (
        ("a.npy", "no array"),
        ("b.npy", "no array"),
        ("c.npz", "no array"),
        ("d.npz", "holds 2 arrays"),
    ):
        with pytest.raises(RecordError, match=problem):
            read_array(tmp_path / name, units="mV", leads=LEADS, longest=600)


def test_it_is_read_where_it_is_named_and_says_what_is_missing(values, tmp_path):
    np.save(tmp_path / "a.npy", values / 5)
    (source,) = find_recording_files([tmp_path / "a.npy"]).recordings
    loaded = load_recording(source, rate=250.0, units="mV", leads=LEADS)
    assert len(loaded.signal) == 1200 and loaded.rate == 250
    with pytest.raises(RecordError, match=r"an array says nothing of itself; give .* and --leads"):
        load_recording(source, rate=250.0, units="mV")
    in_folder = find_recording_files([tmp_path])
    assert not in_folder.recordings and "name it itself" in in_folder.ignored[0][1]


def test_the_command_to_type_next_says_what_the_array_does_not(values, tmp_path, capsys):
    path = tmp_path / "a b.npy"
    np.save(path, values / 5)
    options = ["--rate", "250", "--units", "mV", "--leads", *LEADS]
    assert cli.inspect([str(path), *options]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert shlex.split(last.removeprefix("predict it: ")) == ["xecgnet", "predict", str(path), *options]
