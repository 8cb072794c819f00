"""Many recordings → their counts and findings, read by several processes, in order and in bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xecgnet_jax.data.io.wfdb import read_recording
from xecgnet_jax.data.pack.audit import Findings, findings_of
from xecgnet_jax.data.pack.quantized import Counts, counts_of
from xecgnet_jax.errors import PackError, RecordError

#: Recordings per worker that may be read before their turn: enough to even out long and short ones.
AHEAD: int = 8

#: Recordings for which starting one more process (half a second) pays.
WORTH_A_WORKER: int = 250


@dataclass(frozen=True, eq=False)
class Reading:
    """What a pack keeps of one recording, beside what its corpus says.

    Attributes:
      counts: the signal in 16 bits.
      findings: what the signal shows.
      age: years, or None where the recording does not say.
      sex: "F", "M", or None where the recording does not say.
    """

    counts: Counts
    findings: Findings
    age: float | None
    sex: str | None


def reading_of(path: Path) -> Reading | RecordError:
    """Reads one recording; a refusal is returned, so that the other recordings go on."""
    try:
        recording = read_recording(path)
    except RecordError as error:
        return error
    counts = counts_of(recording.signal, recording.resolution)
    return Reading(counts, findings_of(recording.signal), recording.age, recording.sex)


def readings(paths: Sequence[Path], workers: int | None = None) -> Generator[Reading | RecordError]:
    """Reads recordings, in the order of `paths`.

    Close the iterator when leaving it early, or its processes wait for the garbage collector.

    Args:
      paths: files that `read_recording` takes.
      workers: processes; 1 reads in this one. None: one per CPU, fewer for few recordings.

    Raises:
      PackError: `workers` is below 1, or a process died.
    """
    if workers is None:
        workers = max(1, min(_cpus(), len(paths) // WORTH_A_WORKER))
    if workers < 1:
        raise PackError(f"recordings cannot be read by {workers} workers; ask for 1 or more")
    if workers == 1:
        yield from map(reading_of, paths)
        return
    # Not forked: the parent may run JAX, whose threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)
    try:
        yield from _in_order(pool, paths, ahead=workers * AHEAD)
    except BrokenProcessPool as error:
        raise PackError(
            "a process that reads recordings was ended from outside, perhaps for want of memory; "
            "try again with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Executor, paths: Iterable[Path], ahead: int) -> Iterator[Reading | RecordError]:
    """Results in the order of `paths`, of which at most `ahead` are asked for and not yet taken."""
    asked: deque[Future[Reading | RecordError]] = deque()
    for path in paths:
        with _main_hidden():
            asked.append(pool.submit(reading_of, path))
        if len(asked) >= ahead:
            yield asked.popleft().result()
    while asked:
        yield asked.popleft().result()


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keeps a process that starts meanwhile from importing the main script.

    Workers need nothing from it, and it may import JAX, or lack an `if __name__ == "__main__"`.
    """
    main: dict[str, Any] = vars(sys.modules["__main__"])
    hidden: dict[str, Any] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        del main["__spec__"]
        main.update(hidden)


def _start_worker() -> None:
    """Leaves Ctrl-C to the parent, and follows it when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _cpus() -> int:
    """CPUs that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
