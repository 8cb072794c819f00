"""What a run writes of itself: metrics.jsonl, TensorBoard events, the environment."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

import jax

from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.files import write_json, write_text

METRICS = "metrics.jsonl"
_PACKAGES = ("xecgnet-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "wfdb")


def versions() -> dict[str, str]:
    """Installed versions of what decides a run's numbers."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def write_environment(workdir: Path) -> None:
    """environment.json: versions, platform and devices of this start of the run."""
    devices = [f"{device.platform}: {device.device_kind}" for device in jax.devices()]
    write_json(
        workdir / "environment.json",
        {
            "versions": versions(),
            "platform": platform.platform(),
            "machine": platform.machine(),
            "devices": devices,
        },
    )


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The finished epochs of metrics.jsonl; a last line that a kill cut short is left out.

    Raises:
      CheckpointError: another line is not one of ours.
    """
    path = workdir / METRICS
    if not path.exists():
        return []
    text = path.read_bytes()
    lines = text[: text.rfind(b"\n") + 1].splitlines()
    try:
        epochs = [json.loads(line) for line in lines]
        if any(not isinstance(epoch["step"], int) for epoch in epochs):
            raise ValueError("a line without its step")
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); restore it, or remove it to lose the curves") from None
    return epochs


class Log:
    """Writes what a run's epochs bring to its working directory.

    Attributes:
      latest_f1: validation micro F1 of the last finished epoch, or None.
    """

    def __init__(self, workdir: Path, step: int) -> None:
        """Continues at `step`: what a killed run had written past it is taken back."""
        from tensorboardX import SummaryWriter  # slow to import, and read_metrics does without it

        kept = [record for record in read_metrics(workdir) if record["step"] <= step]
        write_text(workdir / METRICS, "".join(json.dumps(record) + "\n" for record in kept))
        self._metrics = (workdir / METRICS).open("a", encoding="utf-8")
        self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=step)
        self.latest_f1: float | None = kept[-1]["validation_micro_f1"] if kept else None

    def epoch(self, record: dict[str, Any]) -> None:
        """One epoch is done: a line of metrics.jsonl, TensorBoard events."""
        self._metrics.write(json.dumps(record, allow_nan=False) + "\n")
        self._metrics.flush()
        for name, value in record.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, record["step"])
        self._events.flush()
        self.latest_f1 = record["validation_micro_f1"]

    def close(self) -> None:
        self._metrics.close()
        self._events.close()
