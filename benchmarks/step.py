"""One training step of the authors' network against PyTorch, and how near it is to the machine's limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.floor import matrix_product, memory_pass, step_floor
from benchmarks.machine import threads, torch_missing
from benchmarks.ours import Stepper, make_batch
from benchmarks.setting import Setting
from benchmarks.tables import Table, format_cell, timing_table
from benchmarks.timing import Timing, time_call, time_in_turns
from xecgnet_jax.model import XECGNet, apply_merged

OURS, UNMERGED = "xecgnet-jax", "xecgnet-jax, layer by layer"
PEER, COMPILED = "PyTorch", "PyTorch, torch.compile"
PRODUCT, PASS = "matrix product", "memory pass"


def run(setting: Setting) -> Iterator[Table]:
    size, samples = setting.batch_size, setting.samples
    signal, labels = setting.signal(size, samples), setting.labels(size)
    compiling: dict[str, float] = {}
    runs: dict[str, Callable[[], object]] = {}
    batch, model = make_batch(signal, labels), XECGNet(width=setting.width)
    for name, apply in ((OURS, partial(apply_merged, model)), (UNMERGED, model.apply)):
        stepper = Stepper(apply, setting.variables, setting.config, batch)
        runs[name], compiling[name] = stepper, stepper.compiling
    remarks = []
    if missing := torch_missing():
        remarks.append(missing)
    else:
        eager, compiled = _peers(setting, signal, labels)
        runs[PEER] = eager
        if setting.quick:
            remarks.append("--quick leaves out torch.compile, which takes a minute.")
        else:
            try:
                compiling[COMPILED] = time_call(compiled)
                runs[COMPILED] = compiled
            except RuntimeError as error:  # the base of its errors, such as no C++ compiler
                remarks.append(f"torch.compile fails here: {str(error).splitlines()[0]}")
    numbers = 2**16 if setting.quick else 2**26
    runs[PRODUCT], product_size = matrix_product(_edge(setting))
    runs[PASS], pass_size = memory_pass(numbers)
    timings = time_in_turns(runs, repetitions=setting.repetitions(15), lead=1)

    models = {name: timing for name, timing in timings.items() if name not in (PRODUCT, PASS)}
    yield timing_table(
        f"Training step, {size} × {samples:,} × 12, float32, {threads()} threads",
        models,
        baseline=PEER if PEER in models else OURS,
        amount=size,
        unit="windows",
        compiling=compiling,
        remarks=remarks,
    )
    yield _floor_table(setting, models, product_size / timings[PRODUCT].median, pass_size / timings[PASS].median)


def _peers(
    setting: Setting, signal: np.ndarray, labels: np.ndarray
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Returns PyTorch's step, and the same with torch.compile."""
    import torch

    from benchmarks.torch_peer import make_peer, training_step

    torch.set_num_threads(threads())
    inputs = torch.from_numpy(signal.transpose(0, 2, 1).copy()), torch.from_numpy(labels)
    eager = training_step(make_peer(setting.variables, setting.width))
    compiled = training_step(torch.compile(make_peer(setting.variables, setting.width)))
    return lambda: eager(*inputs), lambda: compiled(*inputs)


def _edge(setting: Setting) -> int:
    """Returns the number of rows of the matrices."""
    return 256 if setting.quick else 2048


def _floor_table(setting: Setting, models: dict[str, Timing], rate: float, bandwidth: float) -> Table:
    floor = step_floor(setting.variables["params"], setting.batch_size, setting.samples)
    by_products, by_memory = floor.multiply_adds / rate, floor.bytes / bandwidth
    rows = [
        (name, floor.multiply_adds / timing.median / 1e9, by_products / timing.median)
        for name, timing in models.items()
    ]
    rows.append((PRODUCT, rate / 1e9, 1.0))
    return Table(
        "The step's floor",
        ("", "10⁹ multiply-adds/s", "of the matrix product's rate"),
        rows,
        (
            f"{format_cell(floor.multiply_adds / 1e9)} · 10⁹ multiply-adds: {format_cell(by_products)} s at the rate "
            f"of a product of two matrices of {_edge(setting):,} × {_edge(setting):,}. They are those of the layers "
            "one by one; merged ones need fewer.",
            f"{format_cell(floor.bytes / 1e9)} GB of memory at least: {format_cell(by_memory)} s at "
            f"{format_cell(bandwidth / 1e9)} GB/s, measured in the same run.",
        ),
    )
