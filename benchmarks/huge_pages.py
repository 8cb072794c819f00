"""Training steps and epochs again, by processes whose C library asks the system for huge pages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from benchmarks.markdown import read_results
from benchmarks.processes import run_command
from benchmarks.setting import Setting
from benchmarks.tables import Table

#: Read by glibc 2.35 and newer when a process starts, so it cannot be set from within.
#: https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html
TUNABLES = "glibc.malloc.hugetlb=1"


def run(setting: Setting) -> Iterator[Table]:
    results = setting.scratch / "huge-pages.json"
    command = [sys.executable, "-m", "benchmarks", "step", "epoch", "--output", str(results)]
    command += ["--scratch", str(setting.scratch), *(["--quick"] if setting.quick else [])]
    run_command(command, {**os.environ, "GLIBC_TUNABLES": TUNABLES})
    for found in read_results(results)["benchmarks"].values():
        for table in map(Table.from_json, found["tables"]):
            yield Table(f"{table.title}, with {TUNABLES}", table.columns, table.rows, table.remarks)
