"""Timings in turns: A, B, A, B …, so that whatever slows the machine for a while slows all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

#: Seconds between two timings: the worker threads of the library that ran before spin a while before they sleep.
PAUSE: float = 0.03


@dataclass(frozen=True)
class Timing:
    """Seconds of some repetitions.

    Attributes:
      median: seconds.
      lower, upper: quartiles, seconds.
      repetitions: how many.
    """

    median: float
    lower: float
    upper: float
    repetitions: int


def summarize(seconds: list[float]) -> Timing:
    """Returns the median and quartiles of seconds."""
    lower, median, upper = np.percentile(seconds, (25, 50, 75)).tolist()
    return Timing(median, lower, upper, len(seconds))


def time_in_turns(
    runs: Mapping[str, Callable[[], object]], *, repetitions: int, warmup: int = 1, lead: int = 0, pause: float = PAUSE
) -> dict[str, Timing]:
    """Times functions in turns, and returns name → timing.

    Args:
      runs: name → what is timed. It must return after its work is done: results of JAX by `block_until_ready`.
      repetitions: turns that count.
      warmup: turns before them, which do not.
      lead: calls directly before each that counts, for what runs over and over in its use, such as a training step: the
        others' turn took caches, and the system took memory back.
      pause: seconds before each run.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(warmup + repetitions):
        for name, run in runs.items():
            time.sleep(pause)
            for _ in range(lead):
                run()
            taken = time_call(run)
            if turn >= warmup:
                seconds[name].append(taken)
    return {name: summarize(taken) for name, taken in seconds.items()}


def time_call(run: Callable[[], object]) -> float:
    """Returns the seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
