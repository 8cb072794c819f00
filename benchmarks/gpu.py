"""python -m benchmarks.gpu: the training step, an epoch and a sweep on an NVIDIA GPU.

Needs JAX's build for CUDA; PyTorch's stands beside it where it is installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.machine import description, torch_missing
from benchmarks.ours import Epochs, MemberEpochs, Stepper, make_batch
from benchmarks.random_pack import cpsc_like_lengths, random_dataset
from benchmarks.setting import Setting
from benchmarks.tables import Cell, Table, timing_table
from benchmarks.timing import Timing, time_call, time_in_turns
from xecgnet_jax.config import Config
from xecgnet_jax.data.parallel import available_cpus
from xecgnet_jax.files import write_json
from xecgnet_jax.model import XECGNet, apply_merged

#: Name → the model's (dtype, matmul_precision).
PRECISIONS: dict[str, tuple[Any, Any]] = {
    "float32": ("float32", "highest"),
    "TF32": ("float32", "high"),
    "bfloat16": ("bfloat16", "high"),
}
OURS, PEER = "xecgnet-jax", "PyTorch"
#: Steps between two looks at the clock: a step of a small batch takes as long as waiting for it.
STEPS: int = 10


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all of it runs")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file, too")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch needs memory, too
    if jax.default_backend() != "gpu":
        print("no NVIDIA GPU that JAX can use here: install jax[cuda13] on a machine with one", file=sys.stderr)
        return 2
    about = {"gpu": jax.devices()[0].device_kind, **description()}
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    results: dict[str, Any] = {"machine": about, "quick": chosen.quick, "benchmarks": {}}
    for name, measure in {"gpu_step": steps, "gpu_epoch": epochs, "gpu_sweep": sweep}.items():
        made = []
        for table in measure(Setting(chosen.quick)):
            print(f"\n{table.text()}", flush=True)
            made.append(table.to_json())
        results["benchmarks"][name] = {"tables": made}
        if chosen.output:
            write_json(chosen.output, results)
    return 0


def batch_sizes(setting: Setting) -> tuple[int, ...]:
    return (4,) if setting.quick else (32, 64, 128, 256, 512, 1024)


def steps(setting: Setting) -> Iterator[Table]:
    """Times the training step in each precision at each batch size, beside PyTorch's."""
    for precision in PRECISIONS:
        rows: list[list[Cell]] = []
        for size in batch_sizes(setting):
            timings = _step_timings(setting, precision, size)
            ours, peer = timings.get(OURS), timings.get(PEER)
            row: list[Cell] = [f"{size}", None, None, None, None]
            if ours:
                row[1:3] = 1e3 * ours.median, size / ours.median
            if peer:
                row[3] = 1e3 * peer.median
            if ours and peer:
                row[4] = peer.median / ours.median
            rows.append(row)
        columns = ("batch", "ms", "windows/s", "PyTorch ms", f"speed, {PEER} = 1")
        missing = torch_missing()
        remarks = ["–: not measured, or not enough memory.", *([missing] if missing else [])]
        yield Table(f"Training step, {setting.samples:,} × 12, {precision}", columns, rows, remarks)


def _step_timings(setting: Setting, precision: str, size: int) -> dict[str, Timing]:
    """Returns the seconds of one step by name; who has not enough memory is left out."""
    signal, labels = setting.signal(size, setting.samples), setting.labels(size)
    makers: dict[str, Callable[[], Callable[[], object]]] = {
        OURS: lambda: our_steps(setting, precision, signal, labels)
    }
    if not torch_missing():
        makers[PEER] = lambda: _peer_steps(setting, precision, signal, labels)
    runs: dict[str, Callable[[], object]] = {}
    for name, make in makers.items():
        try:
            runs[name] = make()
            runs[name]()
        except RuntimeError as error:  # JAX's and PyTorch's both
            if "out of memory" not in str(error).lower() and "RESOURCE_EXHAUSTED" not in str(error):
                raise
            runs.pop(name, None)
    timings = time_in_turns(runs, repetitions=setting.repetitions(7))
    return {
        name: Timing(one.median / STEPS, one.lower / STEPS, one.upper / STEPS, one.repetitions)
        for name, one in timings.items()
    }


def our_steps(setting: Setting, precision: str, signal: np.ndarray, labels: np.ndarray) -> Stepper:
    """Returns our steps in a precision."""
    dtype, matmul_precision = PRECISIONS[precision]
    model = XECGNet(width=setting.width, dtype=dtype, matmul_precision=matmul_precision)
    apply = partial(apply_merged, model)
    return Stepper(apply, setting.variables, setting.config, make_batch(signal, labels), STEPS)


def _peer_steps(setting: Setting, precision: str, signal: np.ndarray, labels: np.ndarray) -> Callable[[], object]:
    import torch

    from benchmarks.torch_peer import make_peer, training_step

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
    inputs = torch.from_numpy(signal.transpose(0, 2, 1).copy()).to(device), torch.from_numpy(labels).to(device)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    step = training_step(make_peer(setting.variables, setting.width, device), precision=dtype)

    def run() -> None:
        for _ in range(STEPS):
            loss = step(*inputs)
        loss.item()  # waits

    return run


def epochs(setting: Setting) -> Iterator[Table]:
    """Times an epoch of as many recordings as CPSC2018 has, of its lengths."""
    recordings = 8 if setting.quick else 6877
    dataset = random_dataset(cpsc_like_lengths(recordings), seed=0)
    for size in (4,) if setting.quick else (32, 256):
        config = dataclasses.replace(_in_bfloat16(setting.config), batch_size=size)
        runs = {
            "data on the device": Epochs(config, dataset, resident=True),
            "data streamed": Epochs(config, dataset, resident=False),
        }
        compiling = {name: time_call(run) for name, run in runs.items()}
        timings = time_in_turns(runs, repetitions=setting.repetitions(3), warmup=0)
        for run in runs.values():
            run.close()
        yield timing_table(
            f"An epoch of {recordings:,} recordings, batches of {size}, bfloat16, "
            f"{available_cpus()} threads on the host",
            timings,
            baseline="data streamed",
            amount=recordings,
            unit="recordings",
            compiling=compiling,
            remarks=[f"Random counts, {dataset.pack.samples.nbytes / 1e9:.2g} GB. Compiling includes the first epoch."],
        )


def sweep(setting: Setting) -> Iterator[Table]:
    """Times members trained as one program, against one of them alone so many times."""
    members, size = (2, 4) if setting.quick else (32, 32)
    batches = 2 if setting.quick else 16
    dataset = random_dataset(cpsc_like_lengths(batches * size), seed=1)
    config = dataclasses.replace(_in_bfloat16(setting.config), batch_size=size)
    together, alone = MemberEpochs(config, range(members), dataset), Epochs(config, dataset, resident=True)

    def apart() -> None:
        for _ in range(members):
            alone()

    compiling = {"together": time_call(together), "one after another": time_call(alone)}
    timings = time_in_turns(
        {"together": together, "one after another": apart}, repetitions=setting.repetitions(3), warmup=0
    )
    alone.close()
    yield timing_table(
        f"{members} members for {batches} batches of {size}, bfloat16",
        timings,
        baseline="one after another",
        amount=members * batches * size,
        unit="windows",
        compiling=compiling,
    )


def _in_bfloat16(config: Config) -> Config:
    dtype, matmul_precision = PRECISIONS["bfloat16"]
    model = dataclasses.replace(config.model, dtype=dtype, matmul_precision=matmul_precision)
    return dataclasses.replace(config, model=model)


if __name__ == "__main__":
    sys.exit(main())
