"""The files of a pack: damage is found, and what is in the place of a pack is never lost."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.data.small_corpus import TABLE, converter_values, make, write_corpus, write_record
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.io.hdf5 import HDF5
from xecgnet_jax.data.pack import check_samples, open_pack, pack_of
from xecgnet_jax.data.pack.build import build_pack, corpus_state
from xecgnet_jax.data.pack.storage import (
    ABANDONED,
    CHECKED,
    FILES,
    MANIFEST,
    SAMPLES,
    packing_alone,
    read_manifest,
    write_checked,
)
from xecgnet_jax.errors import PackError

ROOT = Path(__file__).resolve().parents[3]


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


def file_of(folder: Path, name: str) -> Path:
    """A file of a pack."""
    return folder / name if name == MANIFEST else folder / read_manifest(folder)["folder"] / name


@pytest.mark.parametrize("harm", [cut, lengthen, empty, remove])
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_pack_is_not_opened(corpus_folder: Path, tmp_path: Path, name: str, harm) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    harm(file_of(folder, name))
    with pytest.raises(PackError, match=r"damaged: .*delete the folder and make the pack anew") as caught:
        open_pack(folder)
    assert str(folder) in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("name", sorted(FILES - {SAMPLES}))
def test_a_pack_with_an_edited_file_is_not_opened(corpus_folder: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    path = file_of(folder, name)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"R3", b"R9").replace(b"AF", b"AG").replace(b"500", b"501"))
    if name == "index.npz":
        path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
    assert path.read_bytes() != content
    with pytest.raises(PackError, match=f"{name} is not as it was written"):
        open_pack(folder)


def test_samples_of_another_kind_are_refused_and_pickles_never_loaded(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    pack = make(corpus_folder, folder)
    for other in (pack.samples[:-1], pack.samples.astype(np.int32), np.array([None] * 2600, object)):
        other = np.array(other)
        path = file_of(folder, SAMPLES)
        path.unlink()
        np.save(path, other, allow_pickle=True)
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


def test_no_path_of_a_manifest_is_followed(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    manifest = read_manifest(folder)
    (folder / manifest["folder"]).rename(tmp_path / "elsewhere")
    for name in ("../elsewhere", str(tmp_path / "elsewhere"), "", None):
        content = {key: value for key, value in manifest.items() if key != "seal"} | {"folder": name}
        sealed = content | {"seal": hashlib.sha256(json.dumps(content).encode()).hexdigest()}
        (folder / MANIFEST).write_text(json.dumps(sealed))
        with pytest.raises(PackError, match="names no folder of a pack"):
            open_pack(folder)


def test_the_old_pack_stays_until_the_new_one_is_whole(corpus_folder: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "pack"
    before = make(corpus_folder, folder)
    os.utime(corpus_folder / "R2.dat", ns=(0, 0))

    def fails(*_: object) -> None:
        assert open_pack(folder).fingerprint == before.fingerprint
        raise ZeroDivisionError

    monkeypatch.setattr("xecgnet_jax.data.pack.storage.write_checked", fails)
    with pytest.raises(ZeroDivisionError):
        make(corpus_folder, folder)
    with pytest.raises(ZeroDivisionError):
        make(corpus_folder, tmp_path / "other")
    assert open_pack(folder).fingerprint == before.fingerprint
    assert sorted(path.name for path in folder.iterdir()) == sorted([MANIFEST, read_manifest(folder)["folder"]])
    assert not (tmp_path / "other").exists()


def test_a_pack_that_another_process_has_mapped_is_replaced(corpus_folder: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """As on Windows, where a mapped file can neither be removed nor renamed, nor can its folder."""
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    mapped = folder / read_manifest(folder)["folder"]
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert reader.stdin and reader.stdout and reader.stdout.readline().startswith("open")
    first = open_pack(folder).signal(1).sum()
    unlink, rename = os.unlink, os.rename

    def refuse(action):  # type: ignore[no-untyped-def]
        def act(path, *rest, **settings):  # type: ignore[no-untyped-def]
            if Path(path).name in (SAMPLES, mapped.name, folder.name):
                raise PermissionError(32, "it is being used by another process", str(path))
            return action(path, *rest, **settings)

        return act

    monkeypatch.setattr(os, "unlink", refuse(unlink))
    monkeypatch.setattr(os, "rename", refuse(rename))
    write_record(corpus_folder, "R2", converter_values(7))
    assert make(corpus_folder, folder).lengths[2] == 1200
    assert (mapped / SAMPLES).exists()
    said, _ = reader.communicate("\n", timeout=60)
    assert float(said) == pytest.approx(float(first))
    monkeypatch.undo()
    long_ago = time.time() - ABANDONED - 10
    for path in (*mapped.iterdir(), mapped):
        os.utime(path, (long_ago, long_ago))
    os.utime(corpus_folder / "R2.dat", ns=(0, 0))
    make(corpus_folder, folder)
    assert not mapped.exists()


READER = """
import sys
from pathlib import Path
from xecgnet_jax.data.pack import open_pack

pack = open_pack(Path(sys.argv[1]))
print("open", pack.samples[0, 0], flush=True)
sys.stdin.readline()
print(pack.signal(1).sum())
"""


def test_a_reader_that_meets_a_replacement_takes_the_new_pack(corpus_folder: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    late = read_manifest(folder)
    write_record(corpus_folder, "R2", converter_values(7))
    make(corpus_folder, folder)
    manifests = [late, *[read_manifest(folder)] * 2]
    monkeypatch.setattr("xecgnet_jax.data.pack.pack.read_manifest", lambda _: manifests.pop(0))
    assert open_pack(folder).lengths[2] == 1200


def test_a_pack_of_the_version_without_folders_is_made_anew(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    inside = folder / read_manifest(folder)["folder"]
    manifest = {name: value for name, value in read_manifest(folder).items() if name not in ("seal", "folder")}
    for path in inside.iterdir():
        path.rename(folder / path.name)
    inside.rmdir()
    write_checked(folder / "x", {}, manifest | {"format": 1, "state": "of then"})
    with pytest.raises(PackError, match="another version"):
        open_pack(folder)
    assert len(make(corpus_folder, folder)) == 4
    assert len(list(folder.iterdir())) == 2


def change_a_sample(samples: Path) -> None:
    content = bytearray(samples.read_bytes())
    content[len(content) // 2] ^= 8
    samples.write_bytes(content)


def test_samples_that_changed_are_refused_when_their_file_tells_it(corpus_folder: Path, tmp_path: Path) -> None:
    make(corpus_folder, tmp_path / "pack")
    samples = file_of(tmp_path / "pack", SAMPLES)
    change_a_sample(samples)
    os.utime(samples, ns=(1, 1))
    with pytest.raises(PackError, match=r"samples\.npy is not as it was written"):
        open_pack(tmp_path / "pack")


def test_samples_are_read_once_for_each_state_of_their_file(corpus_folder: Path, tmp_path: Path) -> None:
    """A copy with another time is read, and known from then on; what leaves no trace is found where it is asked for."""
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    samples = file_of(folder, SAMPLES)
    assert not (folder / CHECKED).exists()
    os.utime(samples, ns=(1, 1))
    assert len(open_pack(folder)) == 4
    assert (folder / CHECKED).exists()
    change_a_sample(samples)
    os.utime(samples, ns=(1, 1))
    pack = open_pack(folder)
    with pytest.raises(PackError, match=r"samples\.npy is not as it was written"):
        check_samples(pack, folder, always=True)


def test_a_corpus_that_two_jobs_want_is_packed_by_one(corpus_folder: Path, tmp_path: Path) -> None:
    """The second waits, and takes what the first has made; the file that it waits at is gone afterwards."""
    folder, found = tmp_path / "pack", []
    second = threading.Thread(target=lambda: found.append(make(corpus_folder, folder)))
    with packing_alone(folder):
        second.start()
        first = build_pack(read_corpus(corpus_folder), folder, workers=1, progress=False)
        generation = read_manifest(folder)["folder"]
        assert not found
    second.join(60)
    assert found[0].fingerprint == first.fingerprint and read_manifest(folder)["folder"] == generation
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "pack"]


def test_what_is_said_of_hdf5_makes_no_other_corpus_anew(corpus_folder: Path, tmp_path: Path) -> None:
    """It counts in the state of a corpus, whatever the corpus is: the second time the pack is opened."""
    generations = []
    for _ in range(2):
        make(corpus_folder, tmp_path / "pack", hdf5=HDF5(rate=400.0, units="mV"))
        generations.append(read_manifest(tmp_path / "pack")["folder"])
    assert generations[0] == generations[1]


def test_a_lock_inside_a_corpus_is_none_of_its_files(corpus_folder: Path) -> None:
    """A pack may lie in the folder of its corpus."""
    folder = corpus_folder / "pack"
    state = corpus_state(corpus_folder, folder)
    with packing_alone(folder):
        assert corpus_state(corpus_folder, folder) == state


def test_what_a_kill_left_of_the_manifest_stops_no_pack(corpus_folder: Path, tmp_path: Path) -> None:
    """It is removed once nobody can be writing it any more."""
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / f".{MANIFEST}.123.tmp").write_text("{")
    make(corpus_folder, pack)
    assert (pack / f".{MANIFEST}.123.tmp").exists()
    long_ago = time.time() - ABANDONED - 10
    os.utime(pack / f".{MANIFEST}.123.tmp", (long_ago, long_ago))
    (corpus_folder / "labels.csv").write_text(TABLE.replace("R1,Normal", "R1,AF"))
    make(corpus_folder, pack)
    assert {path.name for path in pack.iterdir() if path.is_file()} <= {MANIFEST, CHECKED}
