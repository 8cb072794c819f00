"""Ctrl-C and SIGTERM as a request to stop at the next step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Stop:
    """Whether to stop."""

    requested = False


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into a request; a second one acts as ever."""
    stop = Stop()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: Any) -> None:
        stop.requested = True
        restore()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, request)
    except ValueError:
        # Not the main thread: it alone may set handlers, and only it is asked to stop.
        before.clear()
    try:
        yield stop
    finally:
        restore()
