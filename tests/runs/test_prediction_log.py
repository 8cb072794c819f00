"""Which rows of an unfinished table are taken up: those of the same files, that were predicted and are whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.data.small_corpus import converter_values, write_record
from xecgnet_jax.runs.prediction_log import PredictionLog

BASIS = {"weights": "a", "options": ""}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A record whose signal file has another stem than its header."""
    write_record(tmp_path, "R0", converter_values(0))
    header = tmp_path / "R0.hea"
    header.write_text(header.read_text().replace("R0.dat", "samples.dat"))
    (tmp_path / "R0.dat").rename(tmp_path / "samples.dat")
    return tmp_path


def keep(folder: Path, path: Path, **row) -> None:
    log = PredictionLog(folder / "out.csv", BASIS)
    log.keep(path, "row\n", row.get("refused"), row.get("picture"))
    log.close()


def taken_up(folder: Path, path: Path, **more) -> bool:
    log = PredictionLog(folder / "out.csv", BASIS, **more)
    log.close()
    return log.row(path) is not None


def test_a_row_is_taken_up_while_its_files_are_as_they_were(folder):
    path = folder / "R0.hea"
    keep(folder, path)
    assert taken_up(folder, path)
    assert not PredictionLog(folder / "out.csv", BASIS | {"weights": "b"}).row(path)
    keep(folder, path)
    signal = folder / "samples.dat"
    os.utime(signal, ns=(1, 1))
    assert not taken_up(folder, path)


def test_a_relative_path_is_that_of_its_folder(folder, monkeypatch):
    for name in ("one", "other"):
        (folder / name).mkdir()
        for file in ("R0.hea", "samples.dat"):
            (folder / name / file).write_bytes((folder / file).read_bytes())
            os.utime(folder / name / file, ns=(1, 1))
    monkeypatch.chdir(folder / "one")
    keep(folder, Path("R0.hea"))
    assert taken_up(folder, Path("R0.hea"))
    monkeypatch.chdir(folder / "other")
    assert not taken_up(folder, Path("R0.hea"))


def test_what_was_refused_is_tried_again(folder):
    keep(folder, folder / "R0.hea", refused="a package is missing")
    assert not taken_up(folder, folder / "R0.hea")


def test_a_picture_must_be_there(folder):
    keep(folder, folder / "R0.hea", picture="R0.svg")
    pictures = folder / "pictures"
    assert not taken_up(folder, folder / "R0.hea", plots=pictures)
    pictures.mkdir()
    (pictures / "R0.svg").touch()
    assert taken_up(folder, folder / "R0.hea", plots=pictures)


@pytest.mark.parametrize("line", ["garbage", "\0" * 40, '["a.hea", 1]', '["a.hea", [], 3, null, null]', "[]", "7"])
def test_damaged_lines_are_left_out(folder, line):
    keep(folder, folder / "R0.hea")
    with (folder / "out.csv.unfinished").open("a") as file:
        file.write(line + "\n")
    assert taken_up(folder, folder / "R0.hea")
