"""One training step of the authors' network against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.machine import torch_missing
from benchmarks.ours import Stepper, make_batch
from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import time_call, time_in_turns
from xecgnet_jax.data.parallel import available_cpus
from xecgnet_jax.model import XECGNet, apply_merged

OURS, UNMERGED = "xecgnet-jax", "xecgnet-jax, layer by layer"
PEER, COMPILED = "PyTorch", "PyTorch, torch.compile"


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
    timings = time_in_turns(runs, repetitions=setting.repetitions(15), lead=1)

    yield timing_table(
        f"Training step, {size} × {samples:,} × 12, float32, {available_cpus()} threads",
        timings,
        baseline=PEER if PEER in timings else OURS,
        amount=size,
        unit="windows",
        compiling=compiling,
        remarks=remarks,
    )


def _peers(
    setting: Setting, signal: np.ndarray, labels: np.ndarray
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Returns PyTorch's step, and the same with torch.compile."""
    import torch

    from benchmarks.torch_peer import make_peer, training_step

    torch.set_num_threads(available_cpus())
    inputs = torch.from_numpy(signal.transpose(0, 2, 1).copy()), torch.from_numpy(labels)
    eager = training_step(make_peer(setting.variables, setting.width))
    compiled = training_step(torch.compile(make_peer(setting.variables, setting.width)))
    return lambda: eager(*inputs), lambda: compiled(*inputs)
