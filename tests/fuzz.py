"""Files of every kind that are read, changed at random: read, or refused in one line that names the file.

`python -m tests.fuzz [MINUTES]` tries each kind in turn and prints what else happened; tests/test_fuzz.py tries some.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests import learnable_corpus
from tests.data.io import wfdb_files
from tests.data.io.hospital_files import WRITERS
from tests.data.io.test_wfdb import write_challenge
from xecgnet_jax.config import PRESETS, read_config_file, to_dict
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.dataset import read_weights as read_sample_weights
from xecgnet_jax.data.io.discover import read_recording
from xecgnet_jax.data.io.hdf5 import HDF5
from xecgnet_jax.data.labels import count_codes, read_vocabulary
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.pack import open_pack, pack_of
from xecgnet_jax.data.simulation.corpus import simulate_recording
from xecgnet_jax.data.splits import Split, read_split, write_split
from xecgnet_jax.errors import XECGNetError
from xecgnet_jax.runs.load import load_pretrained, load_run

#: What stands in files and may be put elsewhere in them.
TOKENS = (
    *(b"", b"\x00", b"\xff", b"\n", b"\r\n", b",", b";", b'"', b"'", b"\t", b" ", b"=", b"#", b"[", b"{", b"<", b">"),
    *(
        b"-1",
        b"0",
        b"1e308",
        b"nan",
        b"inf",
        b"9" * 30,
        b"0x10",
        b"1_0",
        b"1,5",
        b"\xc2\xb5V",
        b"\xe2\x80\xae",
        b"\x1b[2J",
    ),
    *(b"../../etc/passwd", b"/etc/passwd", b"::", b"&lol;", b"<!ENTITY a 'b'>", b"__import__('os')", b"=HYPERLINK(1)"),
    *(b"true", b"null", b"[" * 2000, b"9" * 5000, b"A" * 3000),
)
#: Seconds of CPU that reading one file may take.
SLOW = 5.0


@dataclass(frozen=True)
class Kind:
    """Files that are read together.

    Attributes:
      make: writes them into a folder, and returns those that are changed.
      read: reads them there.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]


def signal(samples: int = 300) -> np.ndarray:
    return simulate_recording(5, 3).signal[:samples]


def _wfdb(*formats: int) -> Kind:
    def make(folder: Path) -> list[Path]:
        wfdb_files.write_record(folder, np.random.default_rng(0).integers(-60, 60, (50, 12)), formats)
        return sorted(folder.iterdir())

    return Kind(make, lambda folder: read_recording(folder / "r.hea"))


def _hospital(kind: str) -> Kind:
    def make(folder: Path) -> list[Path]:
        return [WRITERS[kind](folder / "r", signal(), 250)]

    return Kind(make, lambda folder: read_recording(folder / "r"))


def _struct(folder: Path) -> list[Path]:
    content = {"ECG": {"sex": "Male", "age": 52, "data": signal().T.astype(float)}}
    savemat(folder / "r.mat", content, do_compression=True)
    return [folder / "r.mat"]


def _challenge(folder: Path) -> list[Path]:
    write_challenge(folder, np.random.default_rng(0).integers(-60, 60, (60, 12)).astype(np.int16))
    return sorted(folder.iterdir())


def _csv(folder: Path) -> list[Path]:
    np.savetxt(folder / "r.csv", signal(20), delimiter=",", header=",".join(LEADS), comments="", fmt="%.3f")
    return [folder / "r.csv"]


def _array(name: str) -> Kind:
    def make(folder: Path) -> list[Path]:
        with (folder / name).open("wb") as file:
            np.save(file, signal(20)) if name.endswith("y") else np.savez_compressed(file, signal(20))
        return [folder / name]

    return Kind(make, lambda folder: read_recording(folder / name, rate=500, units="mV", leads=LEADS))


TABLES = {
    "labels.csv": "classes: AF, RBBB\nid,labels,patient,fold,age,sex\nr,AF;RBBB,p1,1,63,F\ns,RBBB,p2,2,,M\n",
    "REFERENCE.csv": "Recording,First_label,Second_label,Third_label\nr,1,2.0,\ns,7,,\n",
    "ptbxl_database.csv": (
        "ecg_id,patient_id,age,sex,scp_codes,strat_fold,filename_lr,filename_hr\n"
        "1,7.0,56.0,1,\"{'NORM': 100.0, 'SR': 0.0}\",3,records100/00000/r_lr,records500/00000/r_hr\n"
    ),
}


def _table(name: str) -> Kind:
    def make(folder: Path) -> list[Path]:
        (folder / name).write_text(TABLES[name])
        for record in ("records500/00000/r_hr", "records100/00000/r_lr") if name.startswith("ptbxl") else ("r", "s"):
            (folder / record).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{record}.hea").write_text("r 12 500 50\n")
            (folder / f"{record}.mat").touch()
        return [folder / name]

    def read(folder: Path) -> object:
        corpus = read_corpus(folder)
        return count_codes((entry.codes for entry in corpus.entries), read_vocabulary("cpsc2018"))

    return Kind(make, read)


def _text(name: str, content: Callable[[Path], object], read: Callable[[Path], object]) -> Kind:
    def make(folder: Path) -> list[Path]:
        content(folder / name)
        return [folder / name]

    return Kind(make, lambda folder: read(folder / name))


def _hdf5(folder: Path) -> list[Path]:
    import h5py

    with h5py.File(folder / "part.hdf5", "w") as file:
        file.create_dataset("tracings", data=np.stack([signal(100)] * 3), chunks=(2, 50, 12))
        file.create_dataset("exam_id", data=np.array([1, 2, 3]))
    columns = "exam_id,age,is_male,patient_id,1dAVb,RBBB,AF,trace_file"
    rows = "".join(f"{number},40,True,7,True,False,True,part.hdf5\n" for number in (1, 2, 3))
    (folder / "exams.csv").write_text(f"{columns}\n{rows}")
    return [folder / "part.hdf5", folder / "exams.csv"]


def _read_hdf5(folder: Path) -> object:
    pack = folder.with_name("pack")
    shutil.rmtree(pack, ignore_errors=True)
    how = {"on_bad_recording": "skip", "workers": 1, "progress": False}
    return pack_of(folder, pack, hdf5=HDF5("tracings", 400.0, "mV"), **how)


def _pack(folder: Path) -> list[Path]:
    corpus = learnable_corpus.write(folder / "corpus", recordings=4)
    pack_of(corpus, folder / "pack", workers=1, progress=False)
    return [path for path in (folder / "pack").rglob("*") if path.is_file()]


def _saved(folder: Path) -> list[Path]:
    source = load_pretrained().workdir
    for path in source.iterdir():
        shutil.copy(path, folder)
    return [folder / "config.json", folder / "model.safetensors"]


def _weights_of_recordings(path: Path) -> object:
    pack = (
        pack_of(
            learnable_corpus.write(path.parent / "corpus", recordings=4),
            path.parent / "pack",
            workers=1,
            progress=False,
        )
        if not (path.parent / "pack").exists()
        else open_pack(path.parent / "pack")
    )
    return read_sample_weights(path, pack)


KINDS: dict[str, Kind] = {
    **{f"WFDB {formats}": _wfdb(*formats) for formats in ((16,), (212, 80), (8,), (24,), (516, 524))},
    "CPSC2018": Kind(_struct, lambda folder: read_recording(folder / "r.mat")),
    "Challenge": Kind(_challenge, lambda folder: read_recording(folder / "X.hea")),
    "CSV": Kind(_csv, lambda folder: read_recording(folder / "r.csv", rate=500, units="mV")),
    ".npy": _array("r.npy"),
    ".npz": _array("r.npz"),
    **{name: _hospital(name) for name in WRITERS},
    **{name: _table(name) for name in TABLES},
    "vocabulary": _text(
        "v.toml",
        lambda path: shutil.copy(
            Path(sys.modules["xecgnet_jax"].__path__[0]) / "data/vocabularies/cpsc2018.toml", path
        ),
        lambda path: read_vocabulary(str(path)),
    ),
    "vocabulary, CSV": _text(
        "v.csv",
        lambda path: path.write_text("class,system,code\nAF,SNOMED CT,164889003\nRBBB,SCP-ECG,CRBBB\n"),
        lambda path: read_vocabulary(str(path)),
    ),
    "config, JSON": _text(
        "c.json", lambda path: path.write_text(json.dumps(to_dict(PRESETS["fast"]))), read_config_file
    ),
    "config, TOML": _text(
        "c.toml",
        lambda path: path.write_text("epochs = 3\n[data]\nrate = 100.0\nfilter = [0.5, 40]\n[model]\nwidth = 0.25\n"),
        lambda path: read_config_file(path, PRESETS["fast"]),
    ),
    "split": _text(
        "split.csv", lambda path: write_split(path, Split(("a", "b"), ("c",), ("d",))), lambda path: read_split(path)
    ),
    "weights of recordings": _text(
        "w.csv", lambda path: path.write_text("id,weight\nR000,1\nR001,2.5\n"), _weights_of_recordings
    ),
    "HDF5": Kind(_hdf5, _read_hdf5),
    "pack": Kind(_pack, lambda folder: open_pack(folder / "pack").signal(0)),
    "weights": Kind(_saved, load_run),
}


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Returns a content with one to four changes: bits, cuts, doubled and moved parts, tokens, digits."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(content) + 1)
        at = min(at, rng.choice((at, at, 200)))  # headers are where most is decided
        length = min(rng.choice((1, 2, 8, 64, 1000)), len(content) - at)
        part, what = content[at : at + length], rng.randrange(7)
        if what == 0 and part:
            part = bytes([part[0] ^ 1 << rng.randrange(8)]) + part[1:]
        elif what == 1:
            part = b""
        elif what == 2:
            part *= rng.choice((2, 3, 50))
        elif what == 3:
            part = rng.choice(TOKENS) + part
        elif what == 4:
            part = rng.choice(TOKENS)
        elif what == 5:
            return content[:at]
        else:
            part = bytes(rng.choice(b"0123456789-.e") if byte in b"0123456789" else byte for byte in part)
        content = content[:at] + part + content[at + length :]
    return content


def outcome(kind: Kind, folder: Path) -> str:
    """Reads the files of a folder: "read", "refused", or what else happened."""
    begin = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kind.read(folder)
        told = "read"
    except XECGNetError as error:
        text = str(error)
        told = "refused"
        if str(folder) not in text and folder.name not in text:
            told = f"refused without a name: {text}"
        elif len(text) > 2000 or len(text.splitlines()) > 3:
            told = f"refused at length: {text[:300]}"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    seconds = time.process_time() - begin
    return told if seconds < SLOW else f"{told}, in {seconds:.0f} s"


def tries(name: str, place: Path, seed: int) -> Iterator[str]:
    """Yields what happens to changed files of a kind, without end."""
    kind, rng, folder = KINDS[name], random.Random(f"{name} {seed}"), place / "files"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = kind.make(folder)
    before = {path: path.read_bytes() for path in files}
    kind.read(folder)  # as it was written
    while True:
        path = rng.choice(files)
        path.write_bytes(mutate(before[path], rng))
        yield outcome(kind, folder)
        path.write_bytes(before[path])


def main(minutes: float, seed: int) -> None:
    begin, found, unexpected = time.monotonic(), Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as base:
        turns = {name: tries(name, Path(base) / str(number), seed) for number, name in enumerate(KINDS)}
        while time.monotonic() - begin < 60 * minutes:
            for name, turn in turns.items():
                until = time.monotonic() + 0.5
                while time.monotonic() < until:
                    told = next(turn)
                    found[told if told in ("read", "refused") else "else"] += 1
                    if told not in ("read", "refused"):
                        unexpected[f"{name}: {told}"] += 1
                        if unexpected[f"{name}: {told}"] == 1:
                            print(f"{name}: {told}", flush=True)
    print(f"{sum(found.values())} files in {minutes:g} minutes: {dict(found)}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
