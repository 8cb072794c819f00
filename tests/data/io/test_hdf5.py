"""HDF5 files of many recordings, as CODE-15 % has them, with their table of exams."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from tests import commands as cli
from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.dataset import pack_for, share_for
from xecgnet_jax.data.io.hdf5 import HDF5, MOST_SAMPLES, read_contents, read_rows
from xecgnet_jax.data.labels import vocabulary_from_json
from xecgnet_jax.data.pack import Share
from xecgnet_jax.errors import CorpusError, PackError, RecordError

SAID = HDF5(rate=400.0, units="mV")
SAMPLES = 400


def tracings(rows: int, seed: int) -> np.ndarray:
    """[rows, SAMPLES, 12] float32 mV, padded with zeros at both ends; the last row is zeros only."""
    values = np.random.default_rng(seed).normal(0, 0.3, (rows, SAMPLES, 12)).astype(np.float32)
    values[:, :30] = values[:, 370:] = 0
    values[-1] = 0
    return values


def write_part(
    path: Path, ids: list[int], values: np.ndarray, chunks: tuple[int, int, int] | None = (3, 128, 1)
) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("tracings", data=values, chunks=chunks)
        file.create_dataset("exam_id", data=np.array(ids))


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Two parts of seven and four rows, of which each ends with one of id 0 and zeros, as published."""
    folder = tmp_path / "code"
    folder.mkdir()
    write_part(folder / "exams_part0.hdf5", [11, 17, 12, 16, 13, 15, 0], tracings(7, 0))
    write_part(folder / "exams_part1.hdf5", [21, 22, 23, 0], tracings(4, 1), chunks=None)
    with (folder / "exams.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow("exam_id age is_male patient_id 1dAVb RBBB AF death normal_ecg trace_file".split())
        for number in (11, 12, 13, 15, 16, 17):
            rows.writerow(
                [number, 40 + number, True, 7, number == 11, number > 12, False, "", False, "exams_part0.hdf5"]
            )
        for number in (21, 22, 23):
            rows.writerow([number, 60, False, number, False, False, True, "", False, "exams_part1.hdf5"])
    return folder


def packed(corpus: Path, workers: int = 1, **more):
    config = DataConfig(rate=400.0)
    more = {"hdf5": SAID, "on_bad_recording": "skip", "progress": False} | more
    return pack_for(corpus, corpus.parent / f"cache{workers}", config, workers=workers, **more)


@pytest.mark.parametrize("workers", [1, 2])
def test_packs_hold_the_rows_without_their_padding(corpus, workers):
    pack = packed(corpus, workers)
    assert pack.ids == ("11", "17", "12", "16", "13", "15", "21", "22", "23") and pack.kind == "hdf5"
    values = np.concatenate([tracings(7, 0)[:6], tracings(4, 1)[:3]])
    for row in range(9):
        assert np.abs(pack.signal(row) - values[row, 30:370]).max() <= 0.0005 + 1e-6
    assert pack.codes[:3] == (("1dAVb",), ("RBBB",), ()) and pack.codes[6] == ("AF",)
    assert pack.patients[:2] == ("7", "7") and pack.sexes[0] == "M" and pack.sexes[6] == "F" and pack.ages[0] == 51
    assert list(pack.audit.refused) == ["0"] and "no row for it" in pack.audit.refused["0"]
    classes = {"first degree": {"code15": ["1dAVb"]}, "right": {"code15": ["RBBB"]}}
    assert pack.relabel(vocabulary_from_json({"classes": classes})).labels.sum(axis=0).tolist() == [1, 4]


def test_shares_of_blocks_are_joined_to_the_same_pack(corpus, tmp_path):
    at_once = packed(corpus)
    for number in (3, 1, 2):
        share_for(
            corpus, tmp_path / "c", DataConfig(rate=400.0), Share(number, 3), hdf5=SAID, workers=1, progress=False
        )
    joined = pack_for(
        corpus, tmp_path / "c", DataConfig(rate=400.0), hdf5=SAID, on_bad_recording="skip", progress=False
    )
    assert (joined.fingerprint, joined.ids, joined.audit) == (at_once.fingerprint, at_once.ids, at_once.audit)
    assert not list((tmp_path / "c" / "packs").glob("*.shares"))


def test_what_the_file_does_not_say_is_asked_for(corpus, capsys):
    with pytest.raises(CorpusError, match="Give --hdf5-rate HZ and --hdf5-units"):
        read_corpus(corpus)
    with pytest.raises(CorpusError, match="--hdf5-rate is 4; an ECG has 50"):
        read_corpus(corpus, hdf5=HDF5(rate=4.0, units="mV"))
    with pytest.raises(CorpusError, match="no row for 2 recordings: 0, 0"):
        read_corpus(corpus, hdf5=SAID)
    with pytest.raises(CorpusError, match="no data set signals of its own; it has exam_id, tracings"):
        read_corpus(corpus, hdf5=SAID._replace(dataset="signals"))
    assert cli.corpus([str(corpus), "--hdf5-rate", "400", "--hdf5-units", "mV"]) == 0
    said = capsys.readouterr().out
    assert "hdf5, 9 recordings" in said and "left out (1): 0" in said and "--hdf5-rate 400.0 --hdf5-units mV" in said


def test_units_and_rate_decide(corpus):
    plain, micro = packed(corpus), packed(corpus, hdf5=HDF5(rate=200.0, units="uV"), workers=2)
    assert micro.lengths[0] == 2 * plain.lengths[0] and micro.fingerprint != plain.fingerprint
    assert np.abs(micro.signal(0)).max() == pytest.approx(np.abs(plain.signal(0)).max() / 1000, rel=0.2)


def test_rows_that_are_no_ecg_are_refused_one_by_one(corpus):
    file = corpus / "exams_part0.hdf5"
    with h5py.File(file, "a") as part:
        part["tracings"][2, 100, 3] = np.nan
    one, nothing, zeros = read_rows(file, SAID, [1, 2, 6], ["17", "12", "0"])
    assert not isinstance(one, RecordError) and one.id == "17" and one.signal.shape == (340, 12)
    assert "exam_id 12: samples are no numbers" in str(nothing) and "exam_id 0: holds only zeros" in str(zeros)
    assert packed(corpus).audit.refused.keys() == {"12", "0"}


@pytest.mark.parametrize(("true", "false"), [("TRUE", "FALSE"), ("true", "false"), ("1", "0"), ("1.0", "0.0")])
def test_findings_are_read_as_spreadsheets_write_them(corpus, true, false):
    table = corpus / "exams.csv"
    before = read_corpus(corpus, hdf5=SAID, skip_lost=True).entries
    table.write_text(table.read_text().replace("True", true).replace("False", false))
    assert read_corpus(corpus, hdf5=SAID, skip_lost=True).entries == before
    assert any(entry.codes for entry in before)


def test_a_finding_that_is_told_of_some_exams_only_is_refused(corpus):
    table = corpus / "exams.csv"
    table.write_text(table.read_text().replace("21,60,False,21,False,False,True", "21,60,False,21,False,False,"))
    with pytest.raises(CorpusError, match=r"exams.csv: line 8, column 'AF': '' is neither True nor False"):
        read_corpus(corpus, hdf5=SAID)


def test_only_files_beside_the_table_are_meant(corpus):
    expected = packed(corpus).signal(0)
    for name in ("aaa", "zzz"):
        (corpus / name).mkdir()
        write_part(corpus / name / "exams_part0.hdf5", [11, 17, 12, 16, 13, 15, 0], tracings(7, 5))
    np.testing.assert_array_equal(packed(corpus, 2).signal(0), expected)


def test_a_missing_part_is_told_or_left_out(corpus):
    (corpus / "exams_part1.hdf5").unlink()
    with pytest.raises(CorpusError, match="no tracing in the files for 3 recordings: 21, 22, 23"):
        read_corpus(corpus, hdf5=SAID)
    pack = packed(corpus)
    assert len(pack) == 6 and pack.audit.refused.keys() == {"21", "22", "23", "0"}


@pytest.mark.parametrize("name", ["../exams_part0.hdf5", ".hidden.hdf5", "/etc/passwd"])
def test_the_table_names_files_of_its_folder_only(corpus, name):
    table = corpus / "exams.csv"
    table.write_text(table.read_text().replace("exams_part1.hdf5", name))
    with pytest.raises(CorpusError, match="is no name of a file"):
        read_corpus(corpus, hdf5=SAID)


def test_links_out_of_the_file_are_not_followed(corpus, tmp_path):
    write_part(tmp_path / "other.hdf5", [1], tracings(1, 3), chunks=None)
    with h5py.File(corpus / "exams_part1.hdf5", "w") as file:
        file["tracings"] = h5py.ExternalLink(str(tmp_path / "other.hdf5"), "tracings")
        file["exam_id"] = np.array([21])
    with pytest.raises(CorpusError, match="no data set tracings of its own"):
        read_corpus(corpus, hdf5=SAID)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_a_cut_file_is_refused(corpus, keep):
    file = corpus / "exams_part0.hdf5"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises((CorpusError, PackError), match="exams_part0"):
        packed(corpus)


def test_shapes_that_are_no_recordings_are_refused(corpus):
    with h5py.File(corpus / "exams_part1.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = np.zeros((4, 12, 400)), np.arange(4)
    with pytest.raises(CorpusError, match=r"holds float64 \[4, 12, 400\], not numbers \[recordings, samples, 12\]"):
        read_corpus(corpus, hdf5=SAID)
    with h5py.File(corpus / "exams_part1.hdf5", "w") as file:
        file["tracings"], file["exam_id"] = np.zeros((4, 400, 12)), np.arange(3)
    with pytest.raises(CorpusError, match=r"exam_id has \[3\] ids of 4 recordings"):
        read_corpus(corpus, hdf5=SAID)


def test_recordings_that_a_file_of_holes_claims_are_bounded(corpus):
    with h5py.File(corpus / "exams_part1.hdf5", "w") as file:
        file.create_dataset("tracings", (3, 10**13, 12), "f4", chunks=(1, 10**6, 12))
        file["exam_id"] = np.array([21, 22, 23])
    with pytest.raises(CorpusError, match="recordings of 10000000000000 samples are longer than 3600 s"):
        packed(corpus)
    with h5py.File(corpus / "exams_part1.hdf5", "w") as file:
        file.create_dataset("tracings", (3, 10**6, 12), "f4", chunks=(3, 10**4, 12))
        file["exam_id"] = np.array([21, 22, 23])
    assert read_contents(corpus / "exams_part1.hdf5", SAID).together * 10**6 <= MOST_SAMPLES


def test_a_disk_without_room_is_told_before_anything_is_read(corpus, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(PackError, match=r"takes up to [\d.]+ GB, and [\d.]+ GB are free; make room"):
        packed(corpus)
