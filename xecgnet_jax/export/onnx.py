"""A trained run → an ONNX file, by jax2onnx.

jax2onnx (0.17) has no padding by a symbolic amount. Where the length of the recordings is left open, it converts the
network alone, and a graph before it normalizes and pads.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import ExportError
from xecgnet_jax.export.function import ABOUT, Predictor, network_function, recording_function
from xecgnet_jax.runs.load import Run

#: Version of ONNX's operators: the oldest with all that is used here, for the sake of older runtimes.
OPSET = 18


def onnx_file(run: Run, samples: int | None, description: str) -> tuple[bytes, Predictor]:
    """Returns (the file, what ONNX Runtime makes of it). The batch is symbolic.

    `samples` is the fixed length of the recordings; None leaves it open, for `whole` windows only. `description` is
    what the file says of itself, from `describe`.

    Raises:
      ExportError: jax2onnx is not installed, or `samples` is needed.
    """
    window = run.config.data.window
    if samples is None and window != "whole":
        raise ExportError(
            f"an ONNX file of a run with --window {window} takes recordings of one length only: give --samples, or "
            "--format jax"
        )
    onnx, helper, compose = (_library(name) for name in ("onnx", "onnx.helper", "onnx.compose"))
    of_network = ["probabilities", "attention", "responses"] if run.model.attention else ["probabilities"]
    outputs = [*of_network, "edges"] if run.model.attention else of_network
    if samples is None:
        network = _convert(network_function(run), "normalized", f"{run.model.samples_per_bin}*bins", of_network)
        before = _normalize_and_pad(network.ir_version, *run.normalization, run.model.samples_per_bin)
        model = compose.merge_models(before, network, io_map=[("padded", "normalized")], outputs=outputs)
    else:
        model = _convert(recording_function(run), "signal", samples, outputs)
    import_once(model)
    # The converter's notes on shapes within the graph are those before transposing: onnx 1.23 compares and refuses.
    del model.graph.value_info[:]
    helper.set_model_props(model, {ABOUT: description})
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    session = _library("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return content, lambda signal: dict(zip(names, session.run(names, {"signal": signal}), strict=True))


def _convert(function: Predictor, input_name: str, samples: str | int, outputs: list[str]) -> Any:
    """Returns the ONNX model of a function of [batch, samples, 12]."""
    jax2onnx = _library("jax2onnx")

    def in_order(signal: Any) -> tuple[Any, ...]:
        by_name = function(signal)
        # Without the barriers, outputs that feed a convolution keep its layout: responses would be [B, C, S].
        return tuple(jax.lax.optimization_barrier(by_name[name]) for name in outputs)

    # It warns of types that it leaves to ONNX's own inference.
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    # Its own code broadcasts, whatever the setting.
    with jax.numpy_rank_promotion("allow"):
        return jax2onnx.to_onnx(
            in_order,
            [("batch", samples, len(LEADS))],
            model_name="xecgnet",
            opset=OPSET,
            input_names=[input_name],
            output_names=outputs,
        )


def import_once(model: Any) -> None:
    """Leaves one import of ONNX's own operators, which has two names: merging two graphs keeps that of each."""
    others = [one for one in model.opset_import if one.domain not in ("", "ai.onnx")]
    del model.opset_import[:]
    model.opset_import.extend([_library("onnx.helper").make_opsetid("", OPSET), *others])


def _normalize_and_pad(ir_version: int, mean: np.ndarray, std: np.ndarray, samples_per_bin: int) -> Any:
    """Returns the graph that normalizes recordings in mV, pads them with zeros to whole bins, and gives their edges."""
    return _library("onnx.parser").parse_model(f"""
        <ir_version: {ir_version}, opset_import: ["": {OPSET}]>
        before (float[batch, samples, {len(LEADS)}] signal)
            => (float[batch, whole, {len(LEADS)}] padded, int32[ends] edges)
        <float[{len(LEADS)}] mean = {{{_format_floats(mean)}}}, float[{len(LEADS)}] std = {{{_format_floats(std)}}},
         int64 zero = {{0}}, int64 one = {{1}}, int64 bin = {{{samples_per_bin}}},
         int64[1] none = {{0}}, int64[3] nones = {{0, 0, 0}}>
        {{
            centered = Sub(signal, mean)
            normalized = Div(centered, std)
            length = Shape<start = 1, end = 2>(signal)
            negative = Neg(length)
            missing = Mod(negative, bin)
            amounts = Concat<axis = 0>(none, missing, none, nones)
            padded = Pad(normalized, amounts)
            total = Add(length, missing)
            behind = Add(total, one)
            stop = Squeeze(behind)
            multiples = Range(zero, stop, bin)
            shifted = Sub(multiples, missing)
            clipped = Max(shifted, zero)
            edges = Cast<to = 6>(clipped)
        }}""")


def _format_floats(values: Iterable[float]) -> str:
    return ", ".join(repr(float(value)) for value in values)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(
            f"--format onnx needs {name.split('.')[0]} ({error}): pip install 'xecgnet-jax[onnx]', see docs/export.md"
        ) from None
