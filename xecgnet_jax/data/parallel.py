"""A function over many items in several processes: in order, in bounded memory, and safe beside JAX."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Items per process that may be computed before their turn: enough to even out long and short ones.
AHEAD: int = 8
#: Recordings for which starting one more process (half a second) pays.
WORTH_A_WORKER: int = 250


def available_cpus() -> int:
    """Returns the number of CPUs that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(recordings: int) -> int:
    """Returns how many processes read so many recordings: one per CPU, fewer for few."""
    return max(1, min(available_cpus(), recordings // WORTH_A_WORKER))


def map_in_processes(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result]:
    """Yields the result of the function for each item, in the order of the items.

    Close the generator when leaving it early, or its processes wait for the garbage collector. A process must be able
    to import the function by its name; 1 worker computes everything in this process.

    Raises:
      BrokenProcessPool: a process died.
    """
    if workers == 1:
        yield from map(function, items)
        return
    # Not forked: the parent may run JAX, whose threads do not survive a fork.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker)
    try:
        yield from _map_in_order(pool, function, items, ahead=workers * AHEAD)
    finally:
        pool.shutdown(cancel_futures=True)


def _map_in_order(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Yields results in the order of `items`, of which at most `ahead` are submitted and not yet yielded."""
    submitted: deque[Future[Result]] = deque()
    for item in items:
        with _hide_main():
            submitted.append(pool.submit(function, item))
        if len(submitted) >= ahead:
            yield submitted.popleft().result()
    while submitted:
        yield submitted.popleft().result()


@contextmanager
def _hide_main() -> Iterator[None]:
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
    """Leaves Ctrl-C to the parent process, and ends this one when the parent is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
