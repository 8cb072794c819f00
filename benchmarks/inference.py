"""Inference: the plain network, the collapsed one, and PyTorch with and without its normalizations folded in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.machine import torch_missing
from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import time_call, time_in_turns
from xecgnet_jax.data.parallel import available_cpus
from xecgnet_jax.evaluation.inference import make_predict
from xecgnet_jax.model import XECGNet, collapse

COLLAPSED, PLAIN = "xecgnet-jax, collapsed", "xecgnet-jax, plain"
PEER, FOLDED, COMPILED = "PyTorch", "PyTorch, folded", "PyTorch, folded, torch.compile"


def run(setting: Setting) -> Iterator[Table]:
    # The paper's batches, and one recording of 10 s.
    for size, samples in ((setting.batch_size, setting.samples), (1, 729 if setting.quick else 5000)):
        signal = setting.signal(size, samples)
        runs = {
            COLLAPSED: collapsed_run(setting, signal),
            PLAIN: plain_run(setting, signal),
        }
        compiling = {name: time_call(each) for name, each in runs.items()}
        remarks = []
        if missing := torch_missing():
            remarks.append(missing)
        else:
            peers = _peers(setting, signal)
            try:
                if not setting.quick:
                    compiling[COMPILED] = time_call(peers[COMPILED])
            except RuntimeError as error:  # the base of its errors, such as no C++ compiler
                del peers[COMPILED]
                remarks.append(f"torch.compile fails here: {str(error).splitlines()[0]}")
            runs |= peers
        timings = time_in_turns(runs, repetitions=setting.repetitions(15 if size > 1 else 50), warmup=2)
        yield timing_table(
            f"Inference, {size} × {samples:,} × 12, float32, {available_cpus()} threads",
            timings,
            baseline=PEER if PEER in timings else PLAIN,
            amount=size,
            unit="windows",
            compiling=compiling,
            remarks=[*remarks, "Compiling includes the first run."],
        )


def plain_run(setting: Setting, signal: np.ndarray) -> Callable[[], object]:
    """Returns a run of the network as it stands."""
    return _make_run(XECGNet(width=setting.width).apply, setting.variables, signal)


def collapsed_run(setting: Setting, signal: np.ndarray) -> Callable[[], object]:
    """Returns a run of the network as evaluation and prediction use it."""
    model = collapse(XECGNet(width=setting.width), setting.variables)
    return _make_run(model.apply, model.variables, signal)


def _make_run(apply: Callable[..., Any], variables: dict[str, Any], signal: np.ndarray) -> Callable[[], object]:
    predict, on_device = make_predict(apply), jnp.asarray(signal)
    return lambda: jax.block_until_ready(predict(variables, on_device, None))


def _peers(setting: Setting, signal: np.ndarray) -> dict[str, Callable[[], object]]:
    import torch

    from benchmarks.torch_peer import fold, make_peer, probabilities

    torch.set_num_threads(available_cpus())
    inputs = torch.from_numpy(signal.transpose(0, 2, 1).copy())
    plain = make_peer(setting.variables, setting.width).eval()
    models: dict[str, Any] = {PEER: plain, FOLDED: fold(plain)}
    if not setting.quick:
        models[COMPILED] = torch.compile(fold(plain))

    def make_run(model: Any) -> Callable[[], object]:
        def predict() -> object:
            with torch.inference_mode():
                outputs = model(inputs)
                return probabilities(outputs), outputs

        return predict

    return {name: make_run(model) for name, model in models.items()}
