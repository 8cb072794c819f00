"""What decides a run's numbers besides config, data and seed: versions, devices, settings of JAX and XLA.

Types and generators are named, so that no setting of the process changes them (`fixed_arithmetic`); what is left is
kept with the run, and compared when it goes on.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax

_PACKAGES = ("xecgnet-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "wfdb")
#: Settings of JAX that change roundings.
_SETTINGS = ("jax_default_matmul_precision", "jax_disable_most_optimizations")


@contextmanager
def fixed_arithmetic() -> Iterator[None]:
    """While entered, this thread's numbers and draws are those of JAX's own defaults, whatever the process was told."""
    with (
        jax.enable_x64(False),
        jax.threefry_partitionable(True),
        jax.default_prng_impl("threefry2x32"),
        jax.numpy_dtype_promotion("standard"),
    ):
        yield


def surroundings(devices: Sequence[jax.Device]) -> dict[str, str]:
    """Returns the versions of libraries, the devices of a run and the settings that change its bits."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    found["devices"] = f"{len(devices)} × {devices[0].device_kind}"
    found |= {name: str(jax.config.values[name]) for name in _SETTINGS}
    return found | {"XLA_FLAGS": os.environ.get("XLA_FLAGS", "")}


def environment(versions: Mapping[str, str]) -> dict[str, Any]:
    """Returns what environment.json tells of a run."""
    return {
        "versions": dict(versions),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "devices": [f"{device.platform}: {device.device_kind}" for device in jax.devices()],
    }


def changed_surroundings(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Returns what changed since a run was begun, "" where nothing did; older versions did not keep all of it."""
    changed = [name for name, value in now.items() if before.get(name, value) != value]
    return ", ".join(f"{name} {before[name] or 'none'} → {now[name] or 'none'}" for name in changed)
