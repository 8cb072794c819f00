"""Making a pack against a plain loop of `wfdb.rdsamp` over the same files, and the memory of both."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.machine import threads
from benchmarks.memory import MemoryUse, watch_memory
from benchmarks.setting import Setting
from benchmarks.tables import Cell, Table
from benchmarks.timing import summarize

#: Prints the seconds it took, its imports not counted: what a large corpus is read with.
PACK = """
import json, sys, time
from pathlib import Path
import wfdb, scipy.io
from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.pack import build_pack
began = time.perf_counter()
pack = build_pack(read_corpus(Path(sys.argv[1])), Path(sys.argv[2]), workers=int(sys.argv[3]), progress=False)
print(json.dumps({"seconds": time.perf_counter() - began, "recordings": len(pack)}))
"""

#: The plain loop: each recording is read and dropped. It writes, checks and labels nothing.
PLAIN = """
import json, sys, time
from pathlib import Path
import wfdb
began = time.perf_counter()
headers = sorted(Path(sys.argv[1]).glob("*.hea"))
for header in headers:
    wfdb.rdsamp(str(header.with_suffix("")))
print(json.dumps({"seconds": time.perf_counter() - began, "recordings": len(headers)}))
"""


def run(setting: Setting) -> Iterator[Table]:
    recordings = 6 if setting.quick else 1000
    corpus, pack = setting.corpus(recordings), setting.scratch / "packing"
    several = max(2, threads())
    names = ("wfdb.rdsamp, 1 process", "pack, 1 process", f"pack, {several} processes")
    commands = (_plain(corpus), _pack(corpus, pack, 1), _pack(corpus, pack, several))
    seconds: dict[str, list[float]] = {name: [] for name in names}
    ran: dict[str, MemoryUse] = {}
    for _ in range(setting.repetitions(3)):
        for name, command in zip(names, commands, strict=True):
            ran[name] = watch_memory(command)
            seconds[name].append(_read_seconds(ran[name], recordings))
            shutil.rmtree(pack, ignore_errors=True)
    medians = {name: summarize(taken).median for name, taken in seconds.items()}
    rows: list[list[Cell]] = [
        [name, recordings / median, medians[names[0]] / median, ran[name].together / 2**20]
        for name, median in medians.items()
    ]
    yield Table(
        f"Packing {recordings:,} simulated WFDB recordings, files in the page cache",
        ("", "recordings/s", f"speed, {names[0]} = 1", "resident MiB"),
        rows,
        (
            f"Medians of {len(seconds[names[0]])} interleaved repetitions, each in a fresh process without its imports "
            "(but with the start of workers). The plain loop reads and drops; packing also converts to 16 bits, "
            "checks, hashes, audits and writes.",
        ),
    )


def _plain(corpus: Path) -> list[str]:
    return [sys.executable, "-c", PLAIN, str(corpus)]


def _pack(corpus: Path, pack: Path, workers: int) -> list[str]:
    return [sys.executable, "-c", PACK, str(corpus), str(pack), str(workers)]


def _read_seconds(ran: MemoryUse, recordings: int) -> float:
    told = json.loads(ran.output)
    if told["recordings"] != recordings:
        raise RuntimeError(f"{told['recordings']} of {recordings} recordings were read")
    return float(told["seconds"])
