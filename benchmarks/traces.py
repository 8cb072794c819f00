"""What jax.profiler's trace of a run says about where the time went."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from xecgnet_jax.errors import XECGNetError


def kernel_times(folder: Path) -> dict[str, float]:
    """Returns kernel → seconds of all its runs, from a folder that `jax.profiler.trace` wrote.

    Raises:
      XECGNetError: there is no trace in it.
    """
    files = sorted(folder.rglob("*.trace.json.gz"))
    if not files:
        raise XECGNetError(f"{folder}: holds no trace; jax.profiler writes plugins/profile/…/*.trace.json.gz")
    with gzip.open(files[-1], "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    return sum_times(events)


def sum_times(events: list[dict[str, Any]]) -> dict[str, float]:
    """Returns name → seconds of what ran on a GPU's streams (where there is none: on the host's threads).

    Args:
      events: in Chrome's trace format; durations are microseconds.
    """
    processes = _names(events, "process_name", "pid")
    threads = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if _is(event, "thread_name")}
    gpus = {number for number, name in processes.items() if "GPU" in name}
    streams = {key for key, name in threads.items() if key[0] in gpus and name.startswith("Stream")}
    chosen = streams or set(threads)
    times: defaultdict[str, float] = defaultdict(float)
    for event in events:
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in chosen:
            times[event["name"]] += event.get("dur", 0.0) / 1e6
    return dict(times)


def _names(events: list[dict[str, Any]], kind: str, key: str) -> dict[int, str]:
    return {event[key]: event["args"]["name"] for event in events if _is(event, kind)}


def _is(event: dict[str, Any], kind: str) -> bool:
    return event.get("ph") == "M" and event.get("name") == kind
