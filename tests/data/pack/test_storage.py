"""The files of a pack: damage is found, and what is in the place of a pack is never lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.data.small_corpus import make, write_corpus
from xecgnet_jax.data.pack import open_pack, pack_of
from xecgnet_jax.data.pack.storage import FILES, MANIFEST, SAMPLES, replacement
from xecgnet_jax.errors import PackError


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-24])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(24))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [cut, lengthen, empty, remove])
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_pack_is_not_opened(corpus_folder: Path, tmp_path: Path, name: str, harm) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    harm(folder / name)
    with pytest.raises(PackError, match=r"damaged: .*delete the folder and make the pack anew") as caught:
        open_pack(folder)
    assert str(folder) in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("name", sorted(FILES - {SAMPLES}))
def test_a_pack_with_an_edited_file_is_not_opened(corpus_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b"R3", b"R9").replace(b"AF", b"AG").replace(b"500", b"501"))
    if name == "index.npz":
        (folder / name).write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    assert (folder / name).read_bytes() != content
    with pytest.raises(PackError, match=f"{name} is not as it was written"):
        open_pack(folder)


def test_samples_of_another_kind_are_refused_and_pickles_never_loaded(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    pack = make(corpus_folder, folder)
    for other in (pack.samples[:-1], pack.samples.astype(np.int32), np.array([None] * 2600, object)):
        other = np.array(other)
        (folder / SAMPLES).unlink()
        np.save(folder / SAMPLES, other, allow_pickle=True)
        with pytest.raises(PackError, match=SAMPLES):
            open_pack(folder)


def test_manifests_that_are_no_manifests_are_refused(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    for content in (b"[1, 2]", b"{", b"\xff", b"{}", json.dumps({"seal": float("nan")}).encode()):
        (folder / MANIFEST).write_bytes(content)
        with pytest.raises(PackError, match=r"pack\.json is not as it was written"):
            pack_of(corpus_folder, folder)


def test_a_missing_pack_is_a_pack_error(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="no such pack; make it first"):
        open_pack(tmp_path / "none")


# ---- where packs go


def test_a_folder_with_other_files_is_never_replaced(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    (folder / "thesis.tex").write_text("years of work")
    os.utime(corpus_folder / "R2.dat", ns=(0, 0))
    with pytest.raises(PackError, match="choose another folder"):
        make(corpus_folder, folder)
    assert (folder / "thesis.tex").read_text() == "years of work"
    with pytest.raises(PackError, match="choose another folder"):
        make(corpus_folder, corpus_folder)


def test_an_empty_folder_and_missing_parents_will_do(corpus_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert len(make(corpus_folder, tmp_path / "empty")) == 4
    assert len(make(corpus_folder, tmp_path / "a" / "b" / "pack")) == 4


def test_a_place_that_cannot_be_written_is_a_pack_error(corpus_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PackError, match="choose another folder"):
        make(corpus_folder, tmp_path / "file")
    with pytest.raises(PackError, match="cannot be written"):
        make(corpus_folder, tmp_path / "file" / "pack")


def test_the_old_folder_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    with replacement(folder) as new:
        (new / SAMPLES).write_text("old")
        assert not folder.exists()
    with pytest.raises(ZeroDivisionError), replacement(folder) as new:
        (new / SAMPLES).write_text("half")
        raise ZeroDivisionError
    assert (folder / SAMPLES).read_text() == "old"
    with replacement(folder) as new:
        (new / SAMPLES).write_text("new")
        assert (folder / SAMPLES).read_text() == "old"
    assert (folder / SAMPLES).read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


def test_the_old_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / SAMPLES).write_text("old")
    with pytest.raises(OSError), replacement(folder) as new:
        new.rmdir()
    assert (folder / SAMPLES).read_text() == "old"
    assert list(tmp_path.iterdir()) == [folder]
