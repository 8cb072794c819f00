"""Packs: what goes in comes out, and a changed corpus is seen."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.small_corpus import TABLE, as_another_user, converter_values, make, write_corpus, write_record
from xecgnet_jax.config import DataConfig
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.dataset import make_dataset, pack_folder
from xecgnet_jax.data.io.recording import hash_name, hash_patient
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.labels import CLASSES, CPSC2018, read_vocabulary
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import find_dominating, signal_moments
from xecgnet_jax.data.pack import build_pack, open_pack
from xecgnet_jax.data.pack.reading import read_for_pack
from xecgnet_jax.data.pack.storage import FILES, MANIFEST, SAMPLES, read_manifest, write_checked
from xecgnet_jax.data.signals import PLAIN, SignalSpec, prepare_signal
from xecgnet_jax.errors import CorpusError, PackError, RecordError

SHARED = Path(__file__).resolve().parents[4] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="../shared is not beside the checkout")


@pytest.fixture
def corpus_folder(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


# ---- content


def test_pack_holds_what_the_corpus_says(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    assert len(pack) == 4
    assert pack.ids == ("R0", "R1", "R2", "R3")
    assert pack.patients == ("p1", "p2", None, "p1")
    assert pack.sexes == ("F", "M", None, None)
    assert pack.codes == (("AF", "RBBB"), ("Normal",), ("XYZ", "AF"), ("XYZ",))
    assert (pack.classes, pack.leads, pack.signals, pack.kind) == (CLASSES, LEADS, PLAIN, "wfdb-csv")
    np.testing.assert_array_equal(pack.folds, [1, 2, -1, 1])
    np.testing.assert_array_equal(pack.ages, [63, np.nan, np.nan, 41])
    np.testing.assert_array_equal(pack.lengths, [500, 600, 700, 800])
    np.testing.assert_array_equal(pack.labels, [CPSC2018.label_vector(codes) for codes in pack.codes])
    assert pack.labels.dtype == np.uint8
    assert pack.audit.without_class == ["R3"]
    assert pack.audit.unmapped == {"XYZ": 2}
    assert pack.audit.classes == dict.fromkeys(CLASSES, 0) | {"AF": 2, "RBBB": 1, "Normal": 1}
    for row in range(4):
        np.testing.assert_array_equal(pack.samples[pack.offsets[row] : pack.offsets[row + 1]], converter_values(row))
        expected = read_record(corpus_folder / f"R{row}.hea").signal
        assert type(pack.signal(row)) is np.ndarray and pack.signal(row).dtype == np.float32
        np.testing.assert_array_equal(pack.signal(row), expected)
    np.testing.assert_array_equal(pack.signal(-1), pack.signal(3))
    with pytest.raises(IndexError):
        pack.signal(4)


def test_samples_are_mapped_and_read_only(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    assert isinstance(pack.samples, np.memmap) and pack.samples.dtype == np.int16
    assert not pack.samples.flags.writeable
    assert {path.name for path in (tmp_path / "pack").rglob("*") if path.is_file()} == FILES


def test_select_gives_rows_in_the_order_of_the_ids(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    np.testing.assert_array_equal(pack.select(["R3", "R0", "R0"]), [3, 0, 0])
    assert pack.select([]).dtype == np.int64
    with pytest.raises(PackError, match="no recording Q1, Q2"):
        pack.select(["R1", "Q1", "Q2"])


def test_age_and_sex_come_from_the_recording_where_the_table_has_none(corpus_folder: Path, tmp_path: Path) -> None:
    for name in ("R0", "R1"):
        with (corpus_folder / f"{name}.hea").open("a") as file:
            file.write("#Age: 80\n#Sex: Male\n")
    pack = make(corpus_folder, tmp_path / "pack")
    np.testing.assert_array_equal(pack.ages[:2], [63, 80])
    assert pack.sexes[:2] == ("F", "M")


def test_resampled_recordings_come_back_within_half_a_microvolt(corpus_folder: Path, tmp_path: Path) -> None:
    write_record(corpus_folder, "R3", converter_values(3), rate=1000)
    pack = make(corpus_folder, tmp_path / "pack")
    expected = read_record(corpus_folder / "R3.hea").signal
    assert pack.lengths[3] == 400
    np.testing.assert_allclose(pack.signal(3), expected, rtol=0, atol=0.5e-3 + 1e-6)


@needs_shared
@pytest.mark.parametrize(
    "name",
    [
        "cpsc2018",
        "challenge/cpsc_2018",
        "challenge/cpsc_2018_extra",
        "challenge/georgia",
        "challenge/chapman_ningbo",
        "challenge/ptb",
    ],
)
def test_real_recordings_come_back_exactly_or_within_half_a_microvolt(name: str, tmp_path: Path) -> None:
    corpus = read_corpus(SHARED / "data" / name)
    pack = build_pack(corpus, tmp_path / "pack", progress=False)
    assert pack.ids == tuple(entry.id for entry in corpus.entries)
    for row, entry in enumerate(corpus.entries):
        recording = read_record(entry.path)
        if recording.resolution is not None:
            np.testing.assert_array_equal(pack.step[row], recording.resolution)
            np.testing.assert_array_equal(pack.signal(row), recording.signal)
        else:
            assert (pack.step[row] <= 1e-3).all()
            np.testing.assert_allclose(pack.signal(row), recording.signal, rtol=2**-23, atol=0.5e-3)


# ---- recordings that cannot be read


def damage(corpus_folder: Path, *names: str) -> None:
    for name in names:
        path = corpus_folder / f"{name}.dat"
        path.write_bytes(path.read_bytes()[:-100])


def test_bad_recordings_stop_the_build_and_leave_nothing(corpus_folder: Path, tmp_path: Path) -> None:
    damage(corpus_folder, "R1", "R3")
    with pytest.raises(PackError, match=r"2 of 4 recordings cannot be read: .*R1.*R3.*skip") as caught:
        make(corpus_folder, tmp_path / "pack")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_bad_recordings_are_left_out_and_audited(corpus_folder: Path, tmp_path: Path) -> None:
    damage(corpus_folder, "R1")
    pack = make(corpus_folder, tmp_path / "pack", on_bad_recording="skip")
    assert pack.ids == ("R0", "R2", "R3")
    assert list(pack.audit.refused) == ["R1"] and "R1" in pack.audit.refused["R1"]
    np.testing.assert_array_equal(pack.signal(1), read_record(corpus_folder / "R2.hea").signal)
    assert make(corpus_folder, tmp_path / "pack", on_bad_recording="skip").fingerprint == pack.fingerprint
    with pytest.raises(PackError, match="1 of 4 recordings cannot be read"):
        make(corpus_folder, tmp_path / "pack", on_bad_recording="fail")
    assert len(open_pack(tmp_path / "pack")) == 3


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ("1e-6", "the gain '1e-6.0./mV' is that of no recorder"),
        ("1e-35", "is that of no recorder"),
        ("1e-2", "no voltages, they are beyond 5000 mV"),
        ("1", "leads have .* mV from peak to peak, an ECG has 0.5 to 3"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_wrong_gain_cannot_ruin_a_run(corpus_folder: Path, tmp_path: Path, gain: str, said: str) -> None:
    """The deviation of all recordings was 1.9e7 mV, and every other signal 0, where one had the gain 1e-6/mV."""
    expected = make(corpus_folder, tmp_path / "before").moments[[0, 2, 3]]
    header = corpus_folder / "R1.hea"
    header.write_text(header.read_text().replace(" 200(0)/mV", f" {gain}(0)/mV"))
    with pytest.raises(PackError, match=rf"1 of 4 recordings cannot be read: .*R1\.hea: .*{said}"):
        make(corpus_folder, tmp_path / "pack")
    pack = make(corpus_folder, tmp_path / "pack", on_bad_recording="skip")
    assert list(pack.audit.refused) == ["R1"]
    np.testing.assert_array_equal(pack.moments, expected)


@pytest.mark.parametrize("moment", [0, 1])
def test_one_lead_of_one_recording_cannot_set_the_normalization(corpus_folder: Path, tmp_path: Path, moment) -> None:  # type: ignore[no-untyped-def]
    """An artifact in a single lead, which the size of the others does not tell: it is named."""
    values = converter_values(2).astype(int) // 100
    values[:, 4] = values[:, 4] // 100 + 32_000 if moment == 0 else 32_000 * (-1) ** np.arange(len(values))
    others = [converter_values(number) // 100 for number in range(4)]
    for number, one in enumerate([*others[:2], values, others[3]]):
        write_record(corpus_folder, f"R{number}", one.astype(np.int16))
    pack = make(corpus_folder, tmp_path / "pack")
    config = DataConfig(split="file", split_file=str(tmp_path / "split.csv"), normalize_on="all")
    (tmp_path / "split.csv").write_text("id,part\nR0,train\nR3,train\nR1,validation\nR2,test\n")
    with pytest.raises(CorpusError, match="the recording R2 alone would set the normalization: its lead aVL is at"):
        make_dataset(pack, config)
    make_dataset(pack, replace(config, normalize_on="none"))


@needs_shared
def test_no_real_recording_is_taken_for_a_wrong_one() -> None:
    """The worst of them has a lead of 60 times what is typical."""
    paths = sorted((SHARED / "data" / "ptbxl").glob("records500/*/*.hea"))
    moments = np.stack([signal_moments(read_record(path).signal) for path in paths[::8]])
    assert find_dominating(moments) is None
    for few in range(0, 200, 10):
        assert find_dominating(moments[few : few + 10]) is None


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there is no other user to be")
def test_a_file_that_may_not_be_read_is_a_bad_recording() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        write_record(Path(folder), "R0", converter_values(0))
        read_for_pack(Path(folder, "R0.hea"), PLAIN)
        Path(folder, "R0.dat").chmod(0)
        with as_another_user():
            refused = read_for_pack(Path(folder, "R0.hea"), PLAIN)
    assert isinstance(refused, RecordError)
    assert "R0.hea: its signal file R0.dat cannot be read (Permission denied)" in str(refused)


def test_what_is_no_file_stops_no_corpus(corpus_folder: Path, tmp_path: Path) -> None:
    expected = make(corpus_folder, tmp_path / "before").fingerprint
    (corpus_folder / "x.csv").mkdir()
    os.mkfifo(corpus_folder / "y.csv")
    (corpus_folder / "z.csv").symlink_to("/dev/zero")
    (corpus_folder / "itself").symlink_to("itself")
    assert make(corpus_folder, tmp_path / "pack").fingerprint == expected


def test_a_corpus_of_bad_recordings_makes_no_pack(corpus_folder: Path, tmp_path: Path) -> None:
    damage(corpus_folder, "R0", "R1", "R2", "R3")
    with pytest.raises(PackError, match="4 of 4 recordings cannot be read"):
        make(corpus_folder, tmp_path / "pack", on_bad_recording="skip")
    assert not (tmp_path / "pack").exists()


# ---- opening an existing pack, or making it anew


def built_at(folder: Path) -> str:
    """Differs between any two builds."""
    return str(read_manifest(folder)["folder"])


def test_an_unchanged_corpus_is_not_read_again(corpus_folder: Path, tmp_path: Path) -> None:
    make(corpus_folder, corpus_folder / "packs" / "pack")  # a pack may lie in its corpus
    first = built_at(corpus_folder / "packs" / "pack")
    make(corpus_folder, corpus_folder / "packs" / "pack")
    assert built_at(corpus_folder / "packs" / "pack") == first
    moved = corpus_folder.rename(tmp_path / "moved")
    make(moved, moved / "packs" / "pack")
    assert built_at(moved / "packs" / "pack") == first


def change_table(folder: Path) -> None:
    """Another content of the same size and time."""
    table = folder / "labels.csv"
    times = table.stat()
    table.write_text(TABLE.replace("R3,XYZ", "R3,PVC"))
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))


def change_time(folder: Path) -> None:
    os.utime(folder / "R2.dat", ns=(0, 0))


def change_size(folder: Path) -> None:
    with (folder / "R2.hea").open("a") as file:
        file.write("# a comment\n")


def change_names(folder: Path) -> None:
    (folder / "labels.csv").write_text(TABLE.replace("R3", "R4"))
    (folder / "R3.dat").unlink()
    (folder / "R3.hea").unlink()
    write_record(folder, "R4", converter_values(3))


@pytest.mark.parametrize("change", [change_table, change_time, change_size, change_names])
def test_a_changed_corpus_is_packed_anew(corpus_folder: Path, tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    make(corpus_folder, tmp_path / "pack")
    before = built_at(tmp_path / "pack")
    change(corpus_folder)
    pack = make(corpus_folder, tmp_path / "pack")
    assert built_at(tmp_path / "pack") != before
    assert pack.ids == tuple(entry.id for entry in read_corpus(corpus_folder).entries)
    assert pack.codes == tuple(entry.codes for entry in read_corpus(corpus_folder).entries)
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "pack"}


def test_fingerprint_is_of_the_content(corpus_folder: Path, tmp_path: Path) -> None:
    first = make(corpus_folder, tmp_path / "pack")
    change_time(corpus_folder)
    assert make(corpus_folder, tmp_path / "pack").fingerprint == first.fingerprint
    change_table(corpus_folder)
    second = make(corpus_folder, tmp_path / "pack")
    assert second.fingerprint != first.fingerprint
    change_names(corpus_folder)
    assert make(corpus_folder, tmp_path / "pack").fingerprint not in (first.fingerprint, second.fingerprint)


def test_a_replaced_pack_stays_usable_where_it_is_open(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    before = pack.signal(2)
    write_record(corpus_folder, "R2", converter_values(7))
    assert make(corpus_folder, tmp_path / "pack").lengths[2] == 1200
    np.testing.assert_array_equal(pack.signal(2), before)


def test_a_missing_corpus_is_a_corpus_error(corpus_folder: Path, tmp_path: Path) -> None:
    make(corpus_folder, tmp_path / "pack")
    for place in (tmp_path / "pack", tmp_path / "none"):
        with pytest.raises(CorpusError, match="elsewhere"):
            make(tmp_path / "elsewhere", place)
    assert len(open_pack(tmp_path / "pack")) == 4


def test_links_are_followed_but_not_in_circles(corpus_folder: Path, tmp_path: Path) -> None:
    """A corpus may lie on another disk, with a link to it."""
    elsewhere = (corpus_folder / "R2.dat").rename(tmp_path / "R2.dat")
    (corpus_folder / "R2.dat").symlink_to(elsewhere)
    (corpus_folder / "gone").symlink_to(tmp_path / "gone")
    (corpus_folder / "R4").mkdir()
    (corpus_folder / "R4" / "up").symlink_to(corpus_folder)
    make(corpus_folder, tmp_path / "pack")
    first = built_at(tmp_path / "pack")
    make(corpus_folder, tmp_path / "pack")
    assert built_at(tmp_path / "pack") == first
    os.utime(elsewhere, ns=(0, 0))
    make(corpus_folder, tmp_path / "pack")
    assert built_at(tmp_path / "pack") != first


def test_a_pack_of_another_version_is_refused_or_made_anew(corpus_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    make(corpus_folder, folder)
    manifest = read_manifest(folder)
    inside = folder / manifest["folder"]
    small = {name: (inside / name).read_bytes() for name in FILES - {SAMPLES, MANIFEST}}
    unsealed = {name: value for name, value in manifest.items() if name != "seal"}
    write_checked(inside, small, unsealed | {"format": 0, "state": "of then"})
    with pytest.raises(PackError, match=r"another version.*make the pack anew"):
        open_pack(folder)
    make(corpus_folder, folder)
    assert read_manifest(folder)["sha256"] == manifest["sha256"]


# ---- rates, filters, vocabularies


@pytest.mark.parametrize("signals", [SignalSpec(100.0), SignalSpec(250.0, (0.5, 40.0)), SignalSpec(500.0, (30.0,))])
def test_signals_are_kept_as_asked_for(corpus_folder: Path, tmp_path: Path, signals: SignalSpec) -> None:
    """Within half of the pack's step of what is made of the recording itself; another wish makes another pack."""
    pack = make(corpus_folder, tmp_path / "pack", signals=signals)
    assert pack.signals == signals
    for row in range(4):
        source = read_record(corpus_folder / f"R{row}.hea", rate=None)
        expected = prepare_signal(source.signal, source.rate, signals)
        np.testing.assert_allclose(pack.signal(row), expected, atol=pack.step[row].max() * 0.51 + 1e-6)
    assert make(corpus_folder, tmp_path / "pack", signals=signals).fingerprint == pack.fingerprint
    assert make(corpus_folder, tmp_path / "pack").fingerprint != pack.fingerprint


@pytest.mark.parametrize("signals", [PLAIN, SignalSpec(100.0, (0.5, 40.0))], ids=str)
def test_moments_are_those_of_the_packed_signals(corpus_folder: Path, tmp_path: Path, signals: SignalSpec) -> None:
    """To the bit: a run's normalization is made of them, without reading a signal."""
    pack = build_pack(read_corpus(corpus_folder), tmp_path / "pack", signals=signals)
    assert pack.moments.shape == (len(pack), 2, 12)
    for row in range(len(pack)):
        exact = pack.signal(row).astype(np.float64)
        np.testing.assert_array_equal(pack.moments[row], [exact.mean(axis=0), exact.std(axis=0)])


def test_another_vocabulary_gives_other_labels_of_the_same_signals(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    (tmp_path / "mine.csv").write_text("class,code\nunknown,XYZ\nfibrillation,AF\n")
    mine = read_vocabulary(str(tmp_path / "mine.csv"))
    other = pack.relabel(mine)
    assert other.classes == ("unknown", "fibrillation") and other.samples is pack.samples
    np.testing.assert_array_equal(other.labels, [[0, 1], [0, 0], [1, 1], [1, 0]])
    assert (other.audit.classes, other.audit.unmapped) == ({"unknown": 2, "fibrillation": 2}, {"Normal": 1, "RBBB": 1})
    assert other.audit.without_class == ["R1"]
    assert other.fingerprint not in (pack.fingerprint, pack.relabel(mine, 50.0).fingerprint)
    again = other.relabel(CPSC2018)
    np.testing.assert_array_equal(again.labels, pack.labels)
    assert again.fingerprint == pack.fingerprint and other.relabel(mine).fingerprint == other.fingerprint


def test_the_default_vocabulary_changes_nothing(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    same = pack.relabel(CPSC2018)
    np.testing.assert_array_equal(same.labels, pack.labels)
    assert (same.fingerprint, same.classes, same.audit) == (pack.fingerprint, pack.classes, pack.audit)


def test_unlikely_codes_do_not_count_and_unknown_likelihoods_do(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    codes, likelihoods = ("AF", "PVC", "RBBB"), (100.0, 0.0, 35.0)
    given = replace(pack, codes=(codes, codes, codes, ("AF",)), likelihoods=(likelihoods,) * 3 + ((),))
    expected = [CPSC2018.label_vector(["AF", "PVC"])] * 3 + [CPSC2018.label_vector(["AF"])]
    np.testing.assert_array_equal(given.relabel(CPSC2018, 50.0).labels, expected)
    assert given.relabel(CPSC2018, 35.0).labels[0].sum() == 3


@needs_shared
def test_ptbxl_at_either_rate() -> None:
    """Real recordings: its table names both; the folder here holds 500 Hz only."""
    folder = SHARED / "data/ptbxl"
    corpus = read_corpus(folder)
    assert {entry.path.parts[-3] for entry in corpus.entries} == {"records500"}
    assert read_corpus(folder, rate_of_files=500).entries == corpus.entries
    assert len(corpus.entries[0].likelihoods) == len(corpus.entries[0].codes)
    with pytest.raises(CorpusError, match=r"no file in records100/ for 1631 .*give --rate-of-files 500"):
        read_corpus(folder, rate_of_files=100)
    with pytest.raises(CorpusError, match="PTB-XL has no files of 250 Hz"):
        read_corpus(folder, rate_of_files=250)


def test_a_part_of_ptbxl_can_be_packed(tmp_path: Path) -> None:
    """One fold of it, say, with the table of all: rows without files stop the build, or are left out and audited."""
    folder = tmp_path / "ptbxl"
    (folder / "records100" / "00000").mkdir(parents=True)
    rows = [
        f"{number},{number}.0,50,1,{{'AFIB': 100.0}},{fold},records100/00000/{number:05d}_lr"
        for number, fold in ((1, 9), (2, 10), (3, 10))
    ]
    head = "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_lr"
    (folder / "ptbxl_database.csv").write_text("\n".join([head, *rows]) + "\n")
    with pytest.raises(CorpusError, match=r"no file in records100/ for 3 recordings: .*\. Complete the download\.$"):
        make(folder, tmp_path / "pack", on_bad_recording="skip")  # nothing is there at all
    for name in ("00002_lr", "00003_lr"):
        write_record(folder / "records100" / "00000", name, np.zeros((1000, 12), np.int16) + 7)
    with pytest.raises(CorpusError, match=r"for 1 recordings: 00001_lr\. .*leave them out \(--on-bad-recording skip"):
        make(folder, tmp_path / "pack")
    pack = make(folder, tmp_path / "pack", on_bad_recording="skip")
    assert pack.ids == ("00002_lr", "00003_lr") and set(pack.folds) == {10}
    assert list(pack.audit.refused) == ["00001_lr"]


def test_other_corpora_have_one_rate(corpus_folder: Path) -> None:
    with pytest.raises(CorpusError, match="Leave out --rate-of-files"):
        read_corpus(corpus_folder, rate_of_files=100)


def test_pack_folders_differ_where_signals_do(tmp_path: Path) -> None:
    kinds = [{}, {"rate": 100.0}, {"filter": (0.5, 40.0)}, {"rate_of_files": 100}, {"rate": 100.0, "filter": (15.0,)}]
    folders = [pack_folder(tmp_path / "corpus", tmp_path, DataConfig(**kind)) for kind in kinds]
    assert len(set(folders)) == len(kinds) and all(folder.name.startswith("corpus-") for folder in folders)
    assert pack_folder(tmp_path / "corpus", tmp_path, DataConfig(classes="ptbxl-all")) == folders[0]


# ---- as others read it


def test_names_can_be_hashed(corpus_folder: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("XECGNET_PATIENT_KEY", "of this test, and long enough to be one")
    (corpus_folder / "R1.dat").write_bytes(b"")
    plain = make(corpus_folder, tmp_path / "pack", on_bad_recording="skip")
    hashed = plain.hash_ids()
    assert hashed.ids == tuple(map(hash_name, plain.ids)) and hashed.ids[0] != plain.hash_ids().ids[1]
    assert hashed.patients == (hash_patient("p1"), None, hash_patient("p1"))
    assert hashed.fingerprint != plain.fingerprint and hashed.relabel(CPSC2018).fingerprint == hashed.fingerprint
    assert not [name for name in ("R0", "R1", "R2", "R3") if name in repr(hashed.audit)]
    np.testing.assert_array_equal(hashed.labels, plain.labels)


def test_items_are_signals_and_labels(corpus_folder: Path, tmp_path: Path) -> None:
    pack = make(corpus_folder, tmp_path / "pack")
    for row, (signal, labels) in enumerate(pack):  # an IndexError ends it
        np.testing.assert_array_equal(signal, pack.signal(row))
        np.testing.assert_array_equal(labels, pack.labels[row])
    assert row == len(pack) - 1


def test_torch_loads_it(corpus_folder: Path, tmp_path: Path) -> None:
    """Shuffled, in another process, whose copy of the pack is mapped anew."""
    torch_data = pytest.importorskip("torch.utils.data")
    pack = make(corpus_folder, tmp_path / "pack")
    loader = torch_data.DataLoader(pack, batch_size=None, shuffle=True, num_workers=1)
    seen = sorted((len(signal), labels.tolist()) for signal, labels in loader)
    assert seen == sorted((len(signal), labels.tolist()) for signal, labels in pack)


def test_grain_loads_it(corpus_folder: Path, tmp_path: Path) -> None:
    grain = pytest.importorskip("grain")
    pack = make(corpus_folder, tmp_path / "pack")
    signals = [signal for signal, _ in grain.MapDataset.source(pack).shuffle(seed=0)]
    assert sorted(map(len, signals)) == sorted(pack.lengths)
