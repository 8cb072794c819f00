"""One recording on disk → what a pack keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xecgnet_jax.data.io.wfdb import read_recording
from xecgnet_jax.data.pack.audit import SignalProblems, find_problems
from xecgnet_jax.data.pack.quantized import quantize
from xecgnet_jax.errors import RecordError


@dataclass(frozen=True, eq=False)
class PackedRecording:
    """One recording's row in the index of a pack, as far as its own file gives it; the samples are kept apart.

    Attributes:
      length: number of samples.
      step: [12] float64, mV per quantization step.
      zero: [12] float64, the sample value of 0 mV.
      problems: what is odd about the signal.
      age: years, or None where the recording does not say.
      sex: "F", "M", or None where the recording does not say.
    """

    length: int
    step: np.ndarray
    zero: np.ndarray
    problems: SignalProblems
    age: float | None
    sex: str | None


def read_for_pack(path: Path) -> tuple[np.ndarray, PackedRecording] | RecordError:
    """Reads one recording: samples [T, 12] int16 and its row. An error is returned, so that the others go on."""
    try:
        recording = read_recording(path)
    except RecordError as error:
        return error
    samples, step, zero = quantize(recording.signal, recording.resolution)
    problems = find_problems(recording.signal)
    return samples, PackedRecording(len(samples), step, zero, problems, recording.age, recording.sex)
