"""From the command to the end of the first training step, with an empty and a filled compilation cache; imports."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import threads
from benchmarks.processes import run_command
from benchmarks.setting import Setting
from benchmarks.tables import Cell, Table
from benchmarks.timing import Timing, summarize

#: Modules that commands import, by what they are for.
IMPORTED = {
    "the command line": "xecgnet_jax.cli",
    "training": "xecgnet_jax.training.loop",
    "predicting": "xecgnet_jax.runs.predict",
    "scoring": "xecgnet_jax.runs.evaluate",
    "JAX alone": "jax",
}


def run(setting: Setting) -> Iterator[Table]:
    yield _first_step(setting)
    yield _imports(setting)


def _first_step(setting: Setting) -> Table:
    dataset = setting.dataset(setting.batch_size)  # one batch: the first epoch is the first step
    corpus = setting.corpus(setting.batch_size + 4)
    split = setting.scratch / f"split-{len(dataset.train)}.csv"
    cache = setting.scratch / "start-cache"
    seconds: dict[str, list[float]] = {"empty": [], "filled": []}
    _first_step_seconds(setting, corpus, split, cache)  # makes the pack
    for _ in range(setting.repetitions(3)):
        shutil.rmtree(cache / "compiled", ignore_errors=True)
        for state in seconds:
            seconds[state].append(_first_step_seconds(setting, corpus, split, cache))
    timings = {state: summarize(taken) for state, taken in seconds.items()}
    return Table(
        f"From `train.py` to the end of its first step, {threads()} threads",
        ("compilation cache", "median s", "quartiles s", "speed, empty = 1"),
        [_row(state, timing, timings["empty"]) for state, timing in timings.items()],
        (
            f"Medians of {timings['empty'].repetitions} interleaved repetitions, each the command in a fresh process; "
            "the pack is there.",
        ),
    )


def _row(name: str, timing: Timing, baseline: Timing) -> list[Cell]:
    return [name, timing.median, f"{timing.lower:.3g}–{timing.upper:.3g}", baseline.median / timing.median]


def _first_step_seconds(setting: Setting, corpus: Path, split: Path, cache: Path) -> float:
    """Trains one epoch of one step, and returns the seconds until the step ended.

    Its line in metrics.jsonl is written after the validation, whose seconds it tells: the step ended so long before.
    """
    workdir = setting.scratch / "start-run"
    shutil.rmtree(workdir, ignore_errors=True)
    config = setting.config
    command = [sys.executable, "-m", "xecgnet_jax.cli", "train", "--preset", "paper-crop"]
    command += ["--width", str(config.model.width), "--length", str(config.data.length)]
    command += ["--batch-size", str(config.batch_size), "--epochs", "1", "--split", "file", "--split-file", str(split)]
    command += ["--data", str(corpus), "--cache", str(cache), "--workdir", str(workdir), "--no-progress"]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
    began = time.time()
    run_command(command, surroundings)
    metrics = workdir / "metrics.jsonl"
    record = json.loads(metrics.read_text(encoding="utf-8").splitlines()[0])
    return metrics.stat().st_mtime - float(record["validation_seconds"]) - began


def _imports(setting: Setting) -> Table:
    rows: list[list[Cell]] = []
    for purpose, module in IMPORTED.items():
        found = [_import_seconds(module) for _ in range(setting.repetitions(3))]
        totals = {package: float(np.median([one.get(package, 0.0) for one in found])) for package in found[0]}
        largest = sorted(totals, key=lambda package: -totals[package])[:5]
        told = ", ".join(f"{package} {totals[package]:.2f}" for package in largest)
        rows.append([f"{purpose} ({module})", float(np.median([sum(one.values()) for one in found])), told])
    return Table(
        "Imports, `python -X importtime`",
        ("", "seconds", "of which"),
        rows,
        ("Medians; each package's own modules, the interpreter's start not counted.",),
    )


def _import_seconds(module: str) -> dict[str, float]:
    """Returns package → seconds that its own modules took to import, in a fresh interpreter."""
    errors = run_command([sys.executable, "-X", "importtime", "-c", f"import {module}"], dict(os.environ)).stderr
    before, taken = True, defaultdict[str, float](float)
    for line in errors.splitlines():
        if not line.startswith("import time:") or "self [us]" in line:
            continue
        own, _, name = line.removeprefix("import time:").split("|")
        if before:  # what the interpreter itself imports ends with site
            before = name.strip() != "site"
            continue
        taken[name.strip().split(".")[0]] += int(own) / 1e6
    return dict(taken)
