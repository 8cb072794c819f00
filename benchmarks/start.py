"""From the command to the end of the first training step, with an empty and a filled compilation cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import summarize
from xecgnet_jax.data.parallel import available_cpus


def run(setting: Setting) -> Iterator[Table]:
    dataset = setting.dataset(setting.batch_size)  # one batch: the first epoch is the first step
    corpus = setting.corpus(setting.batch_size + 4)
    split = setting.scratch / f"split-{len(dataset.train)}.csv"
    cache = setting.scratch / "start-cache"
    seconds: dict[str, list[float]] = {"empty cache": [], "filled cache": []}
    _first_step(setting, corpus, split, cache)  # makes the pack
    for _ in range(setting.repetitions(3)):
        shutil.rmtree(cache / "compiled", ignore_errors=True)
        for state in seconds:
            seconds[state].append(_first_step(setting, corpus, split, cache))
    yield timing_table(
        f"From `train.py` to the end of its first step, {available_cpus()} threads",
        {state: summarize(taken) for state, taken in seconds.items()},
        baseline="empty cache",
        amount=1,
        unit="starts",
        remarks=["Each is the command in a fresh process; the pack is there."],
    )


def _first_step(setting: Setting, corpus: Path, split: Path, cache: Path) -> float:
    """Trains one epoch of one step, and returns the seconds until the step ended.

    Its line in metrics.jsonl is written after the validation, whose seconds it tells: the step ended so long before.
    """
    workdir = setting.scratch / "start-run"
    shutil.rmtree(workdir, ignore_errors=True)
    config = setting.config
    command = [sys.executable, "-m", "xecgnet_jax", "train", "--preset", "paper-crop"]
    command += ["--width", str(config.model.width), "--seconds", str(config.data.seconds)]
    command += ["--batch-size", str(config.batch_size), "--epochs", "1", "--split", "file", "--split-file", str(split)]
    command += ["--data", str(corpus), "--cache", str(cache), "--workdir", str(workdir), "--no-progress"]
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("JAX_COMPILATION")}
    began = time.time()
    subprocess.run(command, env=surroundings, capture_output=True, check=True)
    metrics = workdir / "metrics.jsonl"
    record = json.loads(metrics.read_text(encoding="utf-8").splitlines()[0])
    return metrics.stat().st_mtime - float(record["validation_seconds"]) - began
