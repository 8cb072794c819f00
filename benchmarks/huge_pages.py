"""Training steps again, by a process whose C library asks the system for huge pages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.setting import Setting
from benchmarks.tables import Table, read_results

#: Read by glibc 2.35 and newer when a process starts, so it cannot be set from within.
#: https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
TUNABLES = "glibc.malloc.hugetlb=1"


def run(setting: Setting) -> Iterator[Table]:
    results = setting.scratch / "huge-pages.json"
    command = [sys.executable, "-m", "benchmarks", "step", "--output", str(results), "--scratch", str(setting.scratch)]
    command += ["--quick"] if setting.quick else []
    subprocess.run(command, env={**os.environ, "GLIBC_TUNABLES": TUNABLES}, capture_output=True, check=True)
    for values in read_results(results)["benchmarks"]["step"]["tables"]:
        table = Table(**values)
        yield Table(f"{table.title}, with {TUNABLES}", table.columns, table.rows, table.remarks)
