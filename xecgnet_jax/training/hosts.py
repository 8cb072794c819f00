"""One run in several processes, on one host or many: joining them, what they agree on, and leaving at once.

All processes make the same steps; the first one writes and prints. One that fails leaves without the barrier of JAX's
shutdown, in which the others would wait for it; they notice by a collective that breaks, or by the watchdog.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from xecgnet_jax.errors import ConfigError
from xecgnet_jax.terminal import warn

#: Seconds that compiling may take, which one process does longer than another.
COMPILING = 600.0
#: Steps after which several processes ask each other whether one is to stop; each time the devices wait for the host.
ASKED = 8
#: Seconds that the first process may take for what it does alone: checkpoints, and a user's `on_epoch`.
ALONE = 600.0
#: Exit status of a process that another one of its run keeps waiting.
LEFT_ALONE = 1


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Joins this process with the others of its run, before JAX is used; returns when all are there.

    Args:
      coordinator: address of the first process, HOST:PORT; None: as SLURM, Open MPI or the TPU pod tells, likewise
      processes, process: how many there are, and the number of this one.

    Raises:
      ConfigError: no cluster tells what is not given.
    """
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `stop_requests`
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"no cluster tells how the processes of the run find each other ({error}); start it with srun or mpirun, "
            "or give --coordinator HOST:PORT, --processes N and --process K"
        ) from None
    gather(0)  # connects them now: a first collective fails where processes reach it more than 30 s apart


def alone() -> bool:
    """Returns whether this process is the only one of its run; asks for no device where it joined no others."""
    return not jax.distributed.is_initialized() or jax.process_count() == 1


def is_first() -> bool:
    """Returns whether this process is the one that writes and prints."""
    return alone() or jax.process_index() == 0


def gather(value: int) -> np.ndarray:
    """Returns the value of each process, once for each of its devices; waits for all processes."""
    if alone():
        return np.array([value])
    shared, replicate = _meeting()
    mine = jax.make_array_from_callback((jax.device_count(),), shared, lambda _: np.array([value], np.int32))
    return np.asarray(replicate(mine))


def check_same(value: int, what: str) -> int:
    """Returns the value, where all processes have the same.

    Raises:
      ConfigError: they have not.
    """
    if len(found := np.unique(gather(value))) > 1:
        raise ConfigError(f"{what} differs between the processes of the run ({found.tolist()}): they need one folder")
    return value


@contextmanager
def first_alone() -> Iterator[None]:
    """Lets the first process run the block, then the others."""
    if not is_first():
        gather(0)
    yield
    if is_first():
        gather(0)


def agreement(stop: threading.Event) -> Callable[[jax.Array, int], bool]:
    """Returns a function that tells whether the event is set in any process: the same answer in all, call by call.

    Several processes ask each other at each `ASKED`th step only, and wait first for what it is given, the result of the
    step under way: on CPUs two programs at once, whose collectives may begin in another order in each process, wait for
    each other forever.
    """

    def agreed(under_way: jax.Array, step: int) -> bool:
        if alone():
            return stop.is_set()
        if step % ASKED:
            return False
        under_way.block_until_ready()
        return bool(gather(int(stop.is_set())).any())

    return agreed


@contextmanager
def watchdog(seconds: float) -> Iterator[Callable[..., None]]:
    """Yields a function to be called at each sign of life, with the seconds more that the next one may take.

    Where none comes for `seconds`, one line says so and the process ends: JAX would wait forever for a process that
    hangs. A process alone is not watched.
    """
    ended, latest = threading.Event(), [math.inf]

    def alive(more: float = 0.0) -> None:
        latest[0] = time.monotonic() + seconds + more

    def watch() -> None:
        while not ended.wait(min(1.0, seconds / 4)):
            if time.monotonic() > latest[0]:
                warn(
                    f"error: no step or batch has ended for {seconds:g} s (--step-timeout): a process of the run "
                    "hangs, or its host is gone; the same command goes on from the last checkpoint"
                )
                os._exit(LEFT_ALONE)

    if not alone():
        threading.Thread(target=watch, name="watchdog", daemon=True).start()
    try:
        yield alive
    finally:
        ended.set()


@cache
def _meeting() -> tuple[NamedSharding, Callable[[jax.Array], jax.Array]]:
    """Returns how an array is shared among all devices, and what makes of it one that is whole on each."""
    mesh: Any = jax.make_mesh((jax.device_count(),), ("data",), (AxisType.Auto,))
    whole, shared = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("data",)))
    return shared, jax.jit(lambda values: values, out_shardings=whole)
