"""A hospital's folder: files of seven formats in nested folders with a table; packed, trained on, killed, predicted.

`python -m tests.mixed_folder [FILES]` makes it and goes through it, 2,000 files by default.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.data.io.hospital_files import STEP, WRITERS, counts_of
from tests.data.io.wfdb_files import write_record
from xecgnet_jax import load_run
from xecgnet_jax.data.labels import CPSC2018
from xecgnet_jax.data.pack import open_pack
from xecgnet_jax.data.simulation.recording import simulate_recording

ROOT = Path(__file__).resolve().parents[1]
#: Patients have two files, of other formats.
KINDS = ("WFDB", *WRITERS)
#: Seconds of each recording: enough for a window of the smallest network.
SECONDS = 6.0
WORDS = (
    "--preset quick --width 0.0625 --epochs 2 --split stratified --batch-size 16 --seconds 4 --workers 2 --no-progress"
).split()


def files(folder: Path, number: int) -> Iterator[tuple[str, np.ndarray, str]]:
    """Writes files, and yields the path in the folder, mV [T, 12] and class of each. Names repeat between folders."""
    for index in range(number):
        name = CPSC2018.classes[index // 2 % 9]
        signal = simulate_recording(7, index, frozenset({name}), duration_s=SECONDS).signal
        kind = KINDS[index % len(KINDS)]
        place = folder / f"ward {index % 5}" / f"{index // 50:03d}"
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"IM{index % 50:06d}"
        if kind == "WFDB":
            path = write_record(place / f"W{index % 50:06d}", (counts_of(signal) + 3).astype(np.int64), [16])
        else:
            WRITERS[kind](path, signal, 500)
        yield str(path.relative_to(folder)), counts_of(signal) * STEP, name


def write(folder: Path, number: int) -> dict[str, tuple[np.ndarray, str]]:
    """Writes files and labels.csv, and returns mV and class by path."""
    folder.mkdir()
    there = {path: (signal.astype(np.float32), name) for path, signal, name in files(folder, number)}
    with (folder / "labels.csv").open("w", newline="") as table:
        rows = csv.writer(table)
        rows.writerow(["file", "labels", "patient"])
        rows.writerows([path, name, f"P{at // 2}"] for at, (path, (_, name)) in enumerate(there.items()))
    return there


def xecgnet(*words: str, kill_after: float | None = None) -> str:
    """Runs a command, which must end well, and returns what it prints; or kills it, once it has begun to write."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-m", "xecgnet_jax", *words]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return ""
    assert process.returncode == 0, err
    return out + err


def go_through(place: Path, number: int) -> None:
    """Goes through the folder as a user does, and says how long each step took."""
    begin = [time.monotonic()]

    def took(what: str) -> None:
        begin.append(time.monotonic())
        print(f"{what}: {begin[-1] - begin[-2]:.0f} s", flush=True)

    corpus, run, output = place / "corpus", place / "run", place / "predictions.csv"
    there = write(corpus, number)
    took(f"{number} files written")
    said = xecgnet("corpus", str(corpus))
    assert f"{number} recordings" in said and "left out" not in said, said
    took("described")
    where = ["--data", str(corpus), "--cache", str(place / "cache")]
    said = xecgnet("train", *WORDS, *where, "--workdir", str(run), "--pack-only", "all")
    assert f"{number} recordings packed, 0 refused" in said, said
    took("packed")
    (folder,) = (place / "cache" / "packs").iterdir()
    pack = open_pack(folder)
    names = {key: name for name in there for key in (name.removesuffix(".hea"), Path(name).stem)}
    for row, name in enumerate(pack.ids):
        signal, label = there[names[name]]
        assert np.abs(pack.signal(row) - signal).max() < 1e-5, name
        assert pack.labels[row].tolist() == [one == label for one in pack.classes], name
    took("compared with what was written")
    train = ["train", *WORDS, *where, "--workdir", str(run), "--save-every", "2"]
    xecgnet(*train, kill_after=25)
    said = xecgnet(*train)
    assert "best epoch" in said
    took("trained, killed and gone on with")
    predict = ["predict", str(run), str(corpus), "--output", str(output), "--no-progress", "--workers", "2"]
    predict += ["--batch-size", "8", "--cache", str(place / "cache")]
    xecgnet(*predict, kill_after=20)
    was_killed = not output.exists()
    said = xecgnet(*predict)
    took(f"predicted{', killed and gone on with' if was_killed else ''}")
    with output.open(newline="") as table:
        rows = {str(Path(row["path"]).relative_to(corpus)): row for row in csv.DictReader(table)}
    assert rows.keys() == there.keys() and not any(row["error"] for row in rows.values())
    trained = load_run(run)
    expected = trained.predict_rows(pack, np.arange(len(pack))).probabilities
    for at, name in enumerate(pack.ids):
        found = [float(rows[names[name]][f"probability {one}"]) for one in trained.classes]
        np.testing.assert_allclose(found, expected[at], atol=1e-5, err_msg=name)
    took("compared with the pack's")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        go_through(Path(base).resolve(), int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
