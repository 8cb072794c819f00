"""A trained run as one function: recordings in mV → probabilities and maps, by name.

What `Run.predict` does on the host (normalizing, cutting into windows, padding, averaging) is part of the
function, and all its dimensions but the leads may be symbolic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xecgnet_jax.data.windows import WindowSpec, evaluation_windows, window_spec
from xecgnet_jax.errors import ExportError
from xecgnet_jax.evaluation.inference import nearest_windows
from xecgnet_jax.model import Outputs, bin_edges, probabilities
from xecgnet_jax.runs.load import Run

#: float32 [B, T, 12] → arrays by name, of JAX or NumPy.
Predictor = Callable[[Any], dict[str, Any]]

#: Where a file, of either format, says what it is.
ABOUT = "about.json"


def recording_function(run: Run) -> Predictor:
    """Returns the function of recordings in mV [B, T, 12] that a file holds.

    Its outputs are `probabilities` [B, C]; unless the network is the plain one also `attention` [B, S], `responses`
    [B, S, C] and `edges` [S + 1] int32: bin s stands for the samples edges[s] to edges[s + 1] of the recordings, and
    is padding where the two are equal. T may be a symbolic dimension.
    """
    spec = window_spec(run.config)
    mean, std = (np.asarray(moment, np.float32)[None, None] for moment in run.normalization)
    network, classes = network_function(run), len(run.classes)

    def predict_recordings(signal: jax.Array) -> dict[str, jax.Array]:
        batch, samples, _ = signal.shape
        windows, count = _cut_windows((signal - mean) / std, spec)
        outputs = network(windows)
        of_windows = outputs["probabilities"].reshape(batch, count, classes)
        outputs["probabilities"] = of_windows.mean(axis=1) if spec.over == "mean" else of_windows.max(axis=1)
        if run.model.attention:
            bins = count * outputs["attention"].shape[1]
            outputs["attention"] = outputs["attention"].reshape(batch, bins)
            outputs["responses"] = outputs["responses"].reshape(batch, bins, classes)
            outputs["edges"] = _edges(samples, spec)
        return outputs

    return predict_recordings


def network_function(run: Run) -> Predictor:
    """Returns the function of normalized windows [B, T, 12]: probabilities, attention and responses, by name."""
    variables = jax.tree.map(np.asarray, run.variables)

    def predict_windows(windows: jax.Array) -> dict[str, jax.Array]:
        outputs: Outputs = run.model.apply(variables, windows)  # type: ignore[assignment]
        by_name = {"probabilities": probabilities(outputs)}
        if outputs.attention is not None and outputs.responses is not None:
            by_name |= {"attention": outputs.attention, "responses": outputs.responses}
        return by_name

    return predict_windows


def _cut_windows(signal: jax.Array, spec: WindowSpec) -> tuple[jax.Array, Any]:
    """Returns ([B · W, samples of a window, 12], W) of [B, T, 12], as `evaluation_windows` cuts them."""
    batch, samples, leads = signal.shape
    length = spec.length
    if spec.kind == "whole":
        return _pad_left(signal, -spec.whole_starts(samples)), 1
    if spec.kind == "pad":
        return _pad_left(signal, length)[:, samples:], 1
    signal = _pad_left(signal, jax.core.max_dim(length - samples, 0))
    if spec.step:
        starts = _starts(samples, spec)
        windows = signal[:, np.maximum(starts, 0)[:, None] + np.arange(length)]
        return windows.reshape(batch * len(starts), length, leads), len(starts)
    count = jax.core.max_dim(samples // length, 1)
    return signal[:, : count * length].reshape(batch * count, length, leads), count


def _starts(samples: Any, spec: WindowSpec) -> np.ndarray:
    """Returns the first samples of overlapping windows; raises ExportError where the length is open."""
    if not isinstance(samples, int):
        raise ExportError("windows that overlap (--window-step) need recordings of one length: give --samples")
    return evaluation_windows(np.array([samples]), spec)[1].astype(np.int64)


def _edges(samples: Any, spec: WindowSpec) -> jax.Array:
    """Returns the edges of the bins of all windows on the recording's own time, [S + 1] int32."""
    length = spec.length
    if spec.kind == "whole":
        edges = spec.samples_per_bin * jnp.arange(spec.whole_bins(samples) + 1) + spec.whole_starts(samples)
    elif spec.kind == "pad":
        edges = jnp.asarray(bin_edges(length, spec.pools)) + (samples - length)
    elif spec.step:
        of_windows = np.maximum(_starts(samples, spec)[:, None] + bin_edges(length, spec.pools), 0)
        begins = np.where(np.stack(nearest_windows(list(of_windows))), of_windows[:, :-1], samples)
        # A bin that does not count ends where it begins: where the next one that counts does.
        return jnp.asarray(np.minimum.accumulate([samples, *begins.ravel()[::-1]])[::-1], jnp.int32)
    else:
        count = jax.core.max_dim(samples // length, 1)
        within = jnp.asarray(bin_edges(length, spec.pools)[:-1])
        starts = (length * jnp.arange(count)[:, None] + within[None]).reshape(count * len(within))
        # `jnp.append` is a function compiled by itself, which ONNX's converter does not know.
        edges = jnp.concatenate([starts, jnp.asarray(count * length)[None]]) - jax.core.max_dim(length - samples, 0)
    return jnp.maximum(edges, 0).astype(jnp.int32)


def _pad_left(signal: jax.Array, before: Any) -> jax.Array:
    return jnp.pad(signal, ((0, 0), (before, 0), (0, 0)))
