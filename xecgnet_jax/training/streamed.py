"""Batches gathered from the memory map by a thread, ahead of the steps that take them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from xecgnet_jax.data.batches import Plan
from xecgnet_jax.data.dataset import Dataset
from xecgnet_jax.data.windows import gathered, plans
from xecgnet_jax.training.losses import Losses
from xecgnet_jax.training.programs import Members, Programs, States

#: Batches that lie ready at most.
AHEAD = 3
#: Steps given to the device at most beside the one under way: it never waits for the host, and few batches are held.
LAG = 2


class Ahead:
    """What `make` gives for `first`, `first` + 1, …, made ahead of time by a thread of its own."""

    def __init__(self, make: Callable[[int], Any], first: int, ahead: int = AHEAD) -> None:
        self.next = first
        self._make, self._ahead = make, ahead
        self._made: deque[Any] = deque()
        self._error: BaseException | None = None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, args=(first,), name="batches", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `take` gives at once."""
        return bool(self._made)

    def take(self) -> Any:
        """The next one; raises what `make` raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._made or self._error is not None)
            if not self._made and self._error is not None:
                raise self._error
            self.next += 1
            self._changed.notify()
            return self._made.popleft()

    def close(self) -> None:
        """Ends the thread and waits for its end."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def _work(self, number: int) -> None:
        try:
            while True:
                made = self._make(number)
                number += 1
                with self._changed:
                    self._changed.wait_for(lambda: self._stopped or len(self._made) < self._ahead)
                    if self._stopped:
                        return
                    self._made.append(made)
                    self._changed.notify()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify()


class StreamedData:
    """Feeds programs with batches that a thread gathers from the memory map.

    Attributes:
      waited: seconds that the device had nothing to do because no batch was ready.
    """

    def __init__(self, programs: Programs, dataset: Dataset) -> None:
        self.waited = 0.0
        self._programs, self._pack = programs, dataset.pack
        self._begins = dataset.pack.offsets[dataset.train]
        self._lengths = dataset.pack.lengths[dataset.train].astype(np.int32)
        self._seeds = np.zeros(0, np.uint32)
        self._batches: Ahead | None = None

    def advance(
        self, program: Any, states: States, losses: Losses, who: Members, step: int, count: int
    ) -> tuple[States, Losses]:
        """`count` steps from `step` on; gives back what may still be under way."""
        batches = self._from(step, who.seed)
        under_way: deque[jax.Array] = deque()
        for _ in range(count):
            if not batches.ready:
                jax.block_until_ready(losses)
                since = time.monotonic()
                planned, counts = batches.take()
                self.waited += time.monotonic() - since
            else:
                planned, counts = batches.take()
            states, losses = program(states, losses, who, planned, self._programs.table, counts, np.int32(1))
            under_way.append(losses.diverged)
            if len(under_way) > LAG:
                jax.block_until_ready(under_way.popleft())
        return states, losses

    def close(self) -> None:
        """Ends the thread."""
        if self._batches is not None:
            self._batches.close()
            self._batches = None

    def _from(self, step: int, seeds: np.ndarray) -> Ahead:
        """The batches from a step on; those that lie ready, where they are the ones."""
        if self._batches is None or self._batches.next != step or not np.array_equal(self._seeds, seeds):
            self.close()
            self._seeds = seeds
            self._batches = Ahead(self._gathering(seeds), step)
        return self._batches

    def _gathering(self, seeds: np.ndarray) -> Callable[[int], tuple[Plan, jax.Array]]:
        """Step → the plans of its epoch [M, P, B] and its counts [M, B, T, 12], on the device."""
        programs = self._programs
        current: tuple[int, Plan, Plan] | None = None

        def make(step: int) -> tuple[Plan, jax.Array]:
            nonlocal current
            epoch, within = divmod(step, programs.per_epoch)
            if current is None or current[0] != epoch:
                made = plans(programs.config, self._lengths, programs.samples, seeds, epoch)
                on_host = Plan(*map(np.asarray, made))
                current = epoch, on_host, programs.spread(on_host, len(seeds))
            _, on_host, planned = current
            each = [Plan(*(value[member, within] for value in on_host)) for member in range(len(seeds))]
            counts = np.stack([gathered(self._pack.samples, self._begins, one, programs.samples) for one in each])
            return planned, programs.spread(counts, len(seeds))

        return make
