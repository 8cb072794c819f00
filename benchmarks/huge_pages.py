"""Training steps again, by a process whose C library asks the system for huge pages."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.setting import Setting
from benchmarks.tables import Table, read_results

#: Read by glibc 2.35 and newer when a process starts, so it cannot be set from within.
#: https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
TUNABLES = "glibc.malloc.hugetlb=1"


def run(setting: Setting) -> Iterator[Table]:
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        command = [sys.executable, "-m", "benchmarks", "step", "--output", str(results)]
        command += ["--quick"] if setting.quick else []
        subprocess.run(command, env={**os.environ, "GLIBC_TUNABLES": TUNABLES}, capture_output=True, check=True)
        tables = read_results(results)["benchmarks"]["step"]["tables"]
    for values in tables:
        table = Table(**values)
        yield Table(f"{table.title}, with {TUNABLES}", table.columns, table.rows, table.remarks)
