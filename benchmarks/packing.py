"""Making a pack against a plain loop of `wfdb.rdsamp` over the same files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import summarize
from xecgnet_jax.data.parallel import available_cpus

#: Prints the seconds it took, its imports not counted.
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
    commands: dict[str, tuple[str, ...]] = {"wfdb.rdsamp, 1 process": (PLAIN,)}
    commands |= {
        f"pack, {workers} processes": (PACK, str(pack), str(workers)) for workers in (1, max(2, available_cpus()))
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(setting.repetitions(3)):
        for name, command in commands.items():
            seconds[name].append(_seconds(command[0], corpus, command[1:], recordings))
            shutil.rmtree(pack, ignore_errors=True)
    yield timing_table(
        f"Packing {recordings:,} simulated WFDB recordings, files in the page cache",
        {name: summarize(taken) for name, taken in seconds.items()},
        baseline="wfdb.rdsamp, 1 process",
        amount=recordings,
        unit="recordings",
        remarks=[
            "Each in a fresh process without its imports (but with the start of workers). The plain loop reads and "
            "drops; packing also converts to 16 bits, checks, hashes, audits and writes.",
        ],
    )


def _seconds(script: str, corpus: Path, words: Sequence[str], recordings: int) -> float:
    """Returns the seconds that a script tells, and makes sure that it read all recordings."""
    done = subprocess.run([sys.executable, "-c", script, str(corpus), *words], capture_output=True, check=True)
    told = json.loads(done.stdout)
    if told["recordings"] != recordings:
        raise RuntimeError(f"{told['recordings']} of {recordings} recordings were read")
    return float(told["seconds"])
