"""A corpus packed by several jobs: the same bytes as at once, whatever they did and did not read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import commands as cli
from tests.data.small_corpus import converter_values, make, write_corpus, write_record
from xecgnet_jax.data.pack import Share, build_share, storage
from xecgnet_jax.data.pack.shares import shares_folder
from xecgnet_jax.data.signals import SignalSpec
from xecgnet_jax.data.simulation.recording import simulate_recording
from xecgnet_jax.errors import PackError

SIGNALS = SignalSpec(250.0, (0.5,))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four recordings that can be read, one that cannot, and one that lacks a file."""
    folder = write_corpus(tmp_path / "corpus")
    write_record(folder, "R4", converter_values(0))
    (folder / "R4.dat").write_bytes(b"1")
    with (folder / "labels.csv").open("a") as table:
        table.write("R4,AF,,,,\nR5,AF,,,,\n")
    return folder


def content(pack: Path) -> dict[str, bytes]:
    """All that a pack holds, but for the name of its inner folder and the times of files."""
    manifest = storage.read_manifest(pack)
    inner = storage.generation_folder(pack, manifest)
    rest = {name: value for name, value in manifest.items() if name not in ("folder", "samples_state", "seal")}
    return {path.name: path.read_bytes() for path in inner.iterdir()} | {"pack.json": storage.to_json(rest)}


def read(corpus: Path, pack: Path, number: int, of: int):
    return build_share(corpus, pack, Share(number, of), signals=SIGNALS, workers=1, progress=False)


@pytest.fixture
def at_once(corpus: Path, tmp_path: Path) -> dict[str, bytes]:
    make(corpus, tmp_path / "once", signals=SIGNALS, on_bad_recording="skip")
    return content(tmp_path / "once")


@pytest.mark.parametrize("of", [1, 2, 3, 5, 9])
def test_joined_shares_are_the_pack_made_at_once(corpus, at_once, tmp_path, of):
    pack = tmp_path / "packs" / "joined"
    counts = [read(corpus, pack, number, of) for number in reversed(range(1, of + 1))]
    assert sum(recordings for recordings, _ in counts) == 5
    refused = {name: why for _, one in counts for name, why in one.items()}
    assert refused.keys() == {"R4"} and "R4.hea" in refused["R4"]
    for path in corpus.glob("*.dat"):  # no file is read again: all are zeros now, of the same sizes and times
        before = path.stat()
        path.write_bytes(bytes(before.st_size))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    joined = make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    assert content(pack) == at_once and joined.audit.refused.keys() == {"R4", "R5"}
    assert [path.name for path in pack.parent.iterdir()] == ["joined"]
    assert read(corpus, pack, 1, of) is None  # the pack is there


def test_what_no_share_has_is_read_then(corpus, at_once, tmp_path):
    pack = tmp_path / "joined"
    read(corpus, pack, 2, 3)
    read(corpus, pack, 2, 2)  # of another number, the same recordings among them
    assert read(corpus, pack, 2, 2) is None
    (shares_folder(pack) / "0123456789abcdef").mkdir()  # of a killed job
    make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    assert content(pack) == at_once and not shares_folder(pack).exists()


def test_shares_of_a_changed_corpus_or_other_signals_are_not_taken(corpus, tmp_path):
    pack = tmp_path / "joined"
    read(corpus, pack, 1, 1)
    write_record(corpus, "R0", converter_values(2))
    make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    make(corpus, tmp_path / "once", signals=SIGNALS, on_bad_recording="skip")
    assert content(pack) == content(tmp_path / "once")
    shutil.rmtree(pack)
    read(corpus, pack, 1, 1)
    make(corpus, pack, on_bad_recording="skip")
    make(corpus, tmp_path / "plain", on_bad_recording="skip")
    assert content(pack) == content(tmp_path / "plain")


def test_a_share_remembers_what_cannot_be_read_and_the_join_decides(corpus, tmp_path):
    table = corpus / "labels.csv"
    table.write_text(table.read_text().replace("R5,AF,,,,\n", ""))
    read(corpus, tmp_path / "joined", 1, 1)
    with pytest.raises(PackError, match=r"R4\.hea"):
        make(corpus, tmp_path / "joined", signals=SIGNALS)
    assert shares_folder(tmp_path / "joined").exists()  # nothing is lost by that


@pytest.mark.parametrize("name", ["samples.npy", "arrays.npz", "recordings.json"])
def test_a_damaged_share_is_named(corpus, tmp_path, name):
    pack = tmp_path / "joined"
    read(corpus, pack, 1, 2)
    file = shares_folder(pack) / "1-of-2" / name
    changed = bytearray(file.read_bytes())
    changed[-20] ^= 1
    file.write_bytes(changed)
    with pytest.raises(PackError, match="1-of-2: the share is damaged"):
        make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    assert not pack.exists()


def test_the_command_packs_shares_and_joins_them(tmp_path, capsys):
    corpus = write_corpus(tmp_path / "corpus")
    words = ["--preset", "fast", "--data", str(corpus), "--cache", str(tmp_path / "cache")]
    words += ["--workdir", str(tmp_path / "run")]
    for share in ("1/2", "2/2"):
        assert cli.train([*words, "--pack-only", share]) == 0
        assert f"share {share} of {corpus}: 2 recordings, 0 of them" in capsys.readouterr().out
    assert cli.train([*words, "--pack-only", "2/2"]) == 0
    assert "is there already" in capsys.readouterr().out
    assert cli.train([*words, "--pack-only", "all"]) == 0
    assert "4 recordings packed, 0 refused" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    for wrong in ("0/2", "3/2", "half", "1/0"):
        assert cli.train([*words, "--pack-only", wrong]) == 2
        assert "possible: all, or K/N" in capsys.readouterr().err
    assert cli.train(["--pack-only", "1/2", "--cache", str(tmp_path / "cache")]) == 2
    assert "needs --data" in capsys.readouterr().err


def test_what_is_left_of_a_share_that_was_being_removed_is_none(corpus, at_once, tmp_path):
    pack = tmp_path / "joined"
    read(corpus, pack, 1, 1)
    (shares_folder(pack) / "1-of-1" / "recordings.json").unlink()
    make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    assert content(pack) == at_once and not shares_folder(pack).exists()


def test_what_could_not_be_read_is_tried_again_by_the_join(corpus, at_once, tmp_path):
    """Its cause may lie outside the files, and be mended: a package, a permission."""
    pack, file = tmp_path / "joined", corpus / "R0.dat"
    right, state = file.read_bytes(), file.stat()
    for content_then in (bytes(len(right)), right):
        file.write_bytes(content_then)
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
        if content_then != right:
            assert read(corpus, pack, 1, 1)[1].keys() == {"R0", "R4"}  # a checksum is another
    make(corpus, pack, signals=SIGNALS, on_bad_recording="skip")
    assert content(pack) == at_once


@pytest.mark.parametrize("text", ["[]", "{}", '{"state": 1}'])
def test_a_table_of_a_share_that_is_none_is_damage(corpus, tmp_path, text):
    read(corpus, tmp_path / "joined", 1, 1)
    (shares_folder(tmp_path / "joined") / "1-of-1" / "recordings.json").write_text(text)
    with pytest.raises(PackError, match="1-of-1: the share is damaged"):
        make(corpus, tmp_path / "joined", signals=SIGNALS, on_bad_recording="skip")


def test_shares_whose_patients_were_hashed_by_another_key_are_refused(tmp_path, monkeypatch):
    """Else one patient would be several, in several parts of a split."""
    pytest.importorskip("ecgdatakit")
    from tests.data.io.hospital_files import write_muse

    folder, pack = tmp_path / "muse", tmp_path / "joined"
    folder.mkdir()
    signal = simulate_recording(1, 1, duration_s=6.0).signal
    for number in range(2):
        write_muse(folder / f"m{number}", signal, 500)
    (folder / "labels.csv").write_text("file,labels\nm0,AF\nm1,AF\n")
    for number, key in ((1, "the key of one host"), (2, "the key of another")):
        monkeypatch.setenv("XECGNET_PATIENT_KEY", key)
        build_share(folder, pack, Share(number, 2), workers=1, progress=False)
    with pytest.raises(PackError, match="1-of-2: patients of its recordings were hashed with another key"):
        make(folder, pack)
    shutil.rmtree(shares_folder(pack) / "1-of-2")
    assert len(set(make(folder, pack).patients)) == 1
