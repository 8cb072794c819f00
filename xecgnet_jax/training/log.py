"""What a run tells: a progress bar, metrics.jsonl, TensorBoard events, the environment."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

import jax
from tensorboardX import SummaryWriter
from tqdm import tqdm

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
    """Writes a run's progress to the working directory and to the terminal."""

    def __init__(self, workdir: Path, *, step: int, total: int, epochs: int, progress: bool) -> None:
        """Continues at `step`: what a killed run had written past it is taken back."""
        kept = [record for record in read_metrics(workdir) if record["step"] <= step]
        write_text(workdir / METRICS, "".join(json.dumps(record) + "\n" for record in kept))
        self._metrics = (workdir / METRICS).open("a", encoding="utf-8")
        self._events = SummaryWriter(str(workdir / "tensorboard"), purge_step=step)
        self._epochs = epochs
        self._shown = {"validation micro F1": "–"}
        if kept:
            self._shown["validation micro F1"] = _figure(kept[-1]["validation_micro_f1"])
        self._lines = progress and not sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            initial=step,
            disable=not progress or self._lines,
            unit="step",
            dynamic_ncols=True,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left]{postfix}",
        )

    def step(self, epoch: int, loss: float | None) -> None:
        """One training step is done; `loss` is the latest known one."""
        self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}", refresh=False)
        if loss is not None:
            self._shown = {"loss": f"{loss:.4f}"} | {k: v for k, v in self._shown.items() if k != "loss"}
            self._bar.set_postfix(self._shown, refresh=False)
        self._bar.update()

    def epoch(self, record: dict[str, Any]) -> None:
        """One epoch is done: a line of metrics.jsonl, TensorBoard events, a line or the bar on the terminal."""
        self._metrics.write(json.dumps(record, allow_nan=False) + "\n")
        self._metrics.flush()
        for name, value in record.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, record["step"])
        self._events.flush()
        self._shown["validation micro F1"] = _figure(record["validation_micro_f1"])
        self._bar.set_postfix(self._shown)
        if self._lines:
            print(
                f"epoch {record['epoch']}/{self._epochs}  loss {record['loss']:.4f}  validation micro F1 "
                f"{_figure(record['validation_micro_f1'])}  subset accuracy "
                f"{_figure(record['validation_subset_accuracy'])}  {record['seconds']:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        self._bar.close()
        self._metrics.close()
        self._events.close()


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
