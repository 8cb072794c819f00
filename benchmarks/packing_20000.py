"""The memory that packing a corpus of 20,000 recordings takes, all processes together."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import threads
from benchmarks.memory import watch_memory
from benchmarks.packing import PACK
from benchmarks.setting import Setting
from benchmarks.tables import Cell, Table

#: Bytes that all processes together shall stay under.
LIMIT: int = 10**9


def run(setting: Setting) -> Iterator[Table]:
    recordings, distinct = (12, 3) if setting.quick else (20_000, 500)
    corpus = repeat_corpus(setting.corpus(distinct), setting.scratch / "many", recordings)
    pack = setting.scratch / "many-pack"
    workers = max(2, threads())
    ran = watch_memory([sys.executable, "-c", PACK, str(corpus), str(pack), str(workers)])
    told = json.loads(ran.output)
    size = sum(file.stat().st_size for file in pack.iterdir())
    shutil.rmtree(pack)
    shutil.rmtree(corpus)
    if told["recordings"] != recordings:
        raise RuntimeError(f"{told['recordings']} of {recordings} recordings were packed")
    rows: list[list[Cell]] = [
        [
            f"{workers} workers",
            told["seconds"],
            recordings / told["seconds"],
            size / 1e9,
            ran.together / 1e9,
            ran.highest / 1e9,
        ]
    ]
    yield Table(
        f"Packing {recordings:,} simulated WFDB recordings",
        ("", "seconds", "recordings/s", "pack GB", "resident GB", "at most GB"),
        rows,
        (
            f"{'Under' if ran.highest < LIMIT else 'Not under'} 1 GB. Resident: the largest sum over all processes "
            "at one look; at most: the sum of each process's own highest. "
            f"The files are those of {distinct:,} recordings under {recordings:,} names.",
        ),
    )


def repeat_corpus(corpus: Path, folder: Path, recordings: int) -> Path:
    """Makes a corpus of so many WFDB records: those of `corpus` again and again, each with a header of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    originals = sorted(corpus.glob("*.hea"))
    headers = [original.read_text(encoding="ascii") for original in originals]
    for number in range(recordings):
        original, header = originals[number % len(originals)], headers[number % len(originals)]
        name = f"Q{number:05d}"
        (folder / f"{name}.hea").write_text(header.replace(original.stem, name), encoding="ascii")
        os.link(original.with_suffix(".mat"), folder / f"{name}.mat")
    return folder
