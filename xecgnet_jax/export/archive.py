"""A trained run → one file that predicts without this package: a `jax.export` archive, or ONNX (`export_onnx`).

Both take a batch of recordings in mV and do all the rest themselves: normalization, windows, padding.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export

from xecgnet_jax import __version__
from xecgnet_jax.config import to_dict, window_length
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import ExportError
from xecgnet_jax.evaluation.inference import Maps
from xecgnet_jax.export.function import ABOUT, Predictor, recording_function
from xecgnet_jax.files import write_bytes
from xecgnet_jax.runs.load import Run, load_run
from xecgnet_jax.runs.weights import without_paths
from xecgnet_jax.training.description import UNITS
from xecgnet_jax.training.surroundings import fixed_arithmetic

Format = Literal["jax", "onnx"]

#: Ending of the file of each format.
SUFFIXES: dict[Format, str] = {"jax": ".zip", "onnx": ".onnx"}
#: Of the archive: the serialized network, beside `ABOUT`.
NETWORK = "network.bin"
#: The program is lowered for all of them, wherever it is exported.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
#: Largest difference from the checkpoint's own predictions.
TOLERANCE = 1e-5


@fixed_arithmetic()
def export_run(path: Path, output: Path, *, format: Format = "jax", samples: int | None = None) -> str:
    """Exports a run, checks the file against the checkpoint, and returns what to print.

    Args:
      path: working directory or checkpoint.
      output: the file to write, .zip (jax) or .onnx; it must not exist yet.
      format: jax or onnx.
      samples: fixed length of the recordings; None: any length.

    Raises:
      CheckpointError: no such checkpoint.
      ExportError: the file exists or has another ending, ONNX's converter is not installed, a length that is
        impossible, or predictions that differ from the checkpoint's by more than `TOLERANCE`.
    """
    path, output = Path(path), Path(output)
    if output.suffix != SUFFIXES[format]:
        other = next((name for name, suffix in SUFFIXES.items() if suffix == output.suffix), None)
        raise ExportError(
            f"{output}: --format {format} writes a {SUFFIXES[format]} file; name it so"
            + (f", or give --format {other}" if other else "")
        )
    if output.exists():
        raise ExportError(f"{output}: is there already; remove it or give another name")
    if samples is not None and samples < 1:
        raise ExportError(f"samples is {samples}; possible: 1 or more")
    run = load_run(path)
    if run.signals.filter:
        raise ExportError(
            f"{path}: the network sees filtered signals (--filter), and a file holds no filter; use xecgnet "
            "predict, or train without one"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    if format == "jax":
        content, predictor = jax_archive(run, samples)
    else:
        from xecgnet_jax.export.onnx import onnx_file

        content, predictor = onnx_file(run, samples, describe(run, samples))
    # Where it takes any number: two bins, 10 s, and an odd number of several crop windows and a rest.
    any_lengths = (2 * run.model.samples_per_bin, round(10 * run.signals.rate), 7001)
    lengths = any_lengths if samples is None else (samples,)
    error = max(largest_difference(run, predictor, length) for length in lengths)
    if not error <= TOLERANCE:
        raise ExportError(
            f"{output}: not written, because it would differ from {run.title} by "
            f"{error:.1e}; try other versions of the libraries that export"
        )
    write_bytes(output, content)
    outputs = [f"probabilities [batch, {len(run.classes)}]"]
    if run.model.attention:
        outputs += ["attention [batch, bins]", f"responses [batch, bins, {len(run.classes)}]", "edges [bins + 1]"]
    return (
        f"written: {output} ({len(content) / 1e6:.1f} MB), from {run.title}\n"
        f"takes: float32 [batch, {samples or 'samples'}, {len(LEADS)}], {UNITS} at {run.signals.rate:g} Hz, "
        f"leads {' '.join(LEADS)}\n"
        f"gives: {', '.join(outputs)}\n"
        f"largest difference from the checkpoint's predictions: {error:.1e}"
    )


def jax_archive(run: Run, samples: int | None = None) -> tuple[bytes, Predictor]:
    """Returns (the archive, what a loader makes of it). The batch is symbolic, the length unless `samples` is given."""
    (shape,) = [jax_export.symbolic_shape(f"batch, {samples or 'samples'}, {len(LEADS)}")]
    signal = jax.ShapeDtypeStruct(shape, jnp.float32)
    setting = "jax_traceback_in_locations_limit"  # the source lines of each operation and of its callers
    before = getattr(jax.config, setting)
    jax.config.update(setting, 0)
    try:
        with jax.default_matmul_precision("highest"):
            network = jax_export.export(jax.jit(recording_function(run)), platforms=PLATFORMS)(signal).serialize()
    finally:
        jax.config.update(setting, before)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ((ABOUT, describe(run, samples).encode()), (NETWORK, bytes(network))):
            # No time of writing: a run gives the same bytes again.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return file.getvalue(), jax.jit(jax_export.deserialize(network).call)


def describe(run: Run, samples: int | None) -> str:
    """Returns what a file says of itself, as JSON: how to feed it, how to read it, where it comes from."""
    window = run.config.data.window
    value = {
        "classes": list(run.classes),
        "thresholds": {one.name: exact_thresholds(one.values).tolist() for one in run.all_thresholds()},
        "calibration": None if run.calibration is None else run.calibration.to_json(),
        "leads": list(LEADS),
        "rate": run.signals.rate,
        "units": UNITS,
        "samples": samples,
        "window": window,
        "window_samples": None if window == "whole" else window_length(run.config),
        "samples_per_bin": run.model.samples_per_bin,
        "normalization": {name: moment.tolist() for name, moment in run.normalization._asdict().items()},
        "run": {"step": run.step, "data": run.data} | without_paths({"config": to_dict(run.config)}),
        "versions": {"xecgnet_jax": __version__, "jax": jax.__version__},
    }
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def exact_thresholds(values: np.ndarray) -> np.ndarray:
    """Returns float64 thresholds that decide the same of float32 probabilities, compared in float32 or in float64.

    Each is the least float32 that is not below the threshold: no probability lies between the two.
    """
    rounded = values.astype(np.float32)
    return np.where(rounded < values, np.nextafter(rounded, np.float32(2)), rounded).astype(np.float64)


def largest_difference(run: Run, predictor: Predictor, samples: int) -> float:
    """Returns how far a file's outputs are from `Run.predict` on two made-up recordings.

    It is NaN where the file gives NaN, and infinite where shapes differ. Responses have no upper limit: their
    difference is divided by the largest of them where that is above 1.
    """
    noise = np.random.default_rng(0).standard_normal((2, samples, len(LEADS)))
    signals = (run.normalization.mean + run.normalization.std * noise).astype(np.float32)
    outputs = {name: np.asarray(value) for name, value in predictor(signals).items()}
    with jax.default_matmul_precision("highest"):
        expected = run.predict(signals, maps=True)
    pairs = [(outputs["probabilities"], expected.probabilities, 1.0)]
    if run.model.attention:
        real = np.diff(outputs["edges"]) > 0  # the others are padding
        for row, maps in enumerate(expected.maps or []):
            assert isinstance(maps, Maps) and maps.attention is not None and maps.responses is not None
            pairs.append((np.unique(outputs["edges"]), maps.edges, 1.0))
            scales = {"attention": 1.0, "responses": max(1.0, float(np.max(maps.responses)))}
            for name, scale in scales.items():
                bins = outputs[name][row]
                pairs.append((bins[real] if len(bins) == len(real) else bins, getattr(maps, name), scale))
    if any(one.shape != other.shape for one, other, _ in pairs):
        return float("inf")
    return float(np.max([np.abs(one - other).max() / scale for one, other, scale in pairs]))
