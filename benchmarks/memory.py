"""The memory that a command and all processes it starts have in RAM, from Linux's /proc."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xecgnet_jax.errors import XECGNetError

#: Seconds between two looks.
INTERVAL: float = 0.02


@dataclass(frozen=True)
class MemoryUse:
    """What a command said that ended well, and the memory it took.

    Attributes:
      output: what it printed.
      together: bytes, the largest sum of the resident sets of its processes at one look. Pages that processes share
        count once for each, so it is never too small but for what came and went between two looks.
      highest: bytes, the sum over its processes of each one's own highest resident set (VmHWM, which the kernel
        keeps): they need not have coincided, so that `together` without gaps lies below it.
    """

    output: str
    together: int
    highest: int


def watch_memory(command: Sequence[str], cwd: Path | None = None) -> MemoryUse:
    """Runs a command and returns what memory it took.

    Raises:
      XECGNetError: it failed, with what it said.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
    together = 0
    highest: dict[int, int] = {}
    ended = threading.Event()

    def look() -> None:
        nonlocal together
        while not ended.wait(INTERVAL):
            now = {number: _memory(number) for number in _family(process.pid)}
            together = max(together, sum(resident for resident, _ in now.values()))
            for number, (_, high) in now.items():
                highest[number] = max(high, highest.get(number, 0))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    output, errors = process.communicate()
    ended.set()
    looking.join()
    if process.returncode:
        raise XECGNetError(f"{' '.join(command)} failed: {errors.strip().splitlines()[-1] if errors.strip() else '–'}")
    return MemoryUse(output, together, sum(highest.values()))


def _family(number: int) -> Iterator[int]:
    """Yields a process and all its descendants."""
    yield number
    try:
        for task in os.scandir(f"/proc/{number}/task"):
            for child in Path(task.path, "children").read_text().split():
                yield from _family(int(child))
    except OSError:  # it has ended meanwhile
        return


def _memory(number: int) -> tuple[int, int]:
    """Returns (resident, highest resident) bytes of a process; zeros where it has ended."""
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    resident, high = (1024 * int(found[name][0]) if name in found else 0 for name in ("VmRSS", "VmHWM"))
    return resident, high
