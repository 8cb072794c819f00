"""A simulated recording → its three files, as the PhysioNet/CinC Challenges lay them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb
from scipy.io import savemat

from xecgnet_jax.data.labels import CLASSES, SNOMED_CT
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.recording import SimulatedRecording, simulate_recording

#: Converter steps per mV, as in the Challenges' CPSC2018.
GAIN: int = 1000

#: The largest value of 16 bits; the smallest marks an invalid sample in WFDB files and is not used.
LIMIT: int = 32767


def write_recording(recording: SimulatedRecording, folder: Path, name: str) -> None:
    """Writes `name`.hea (WFDB header), `name`.mat (MATLAB v4, `val`: int16 [12, T]) and `name`.atr.

    The beats and other events of the .atr file are `recording.annotations`.
    """
    counts = np.clip(np.rint(recording.signal * GAIN), -LIMIT, LIMIT).astype("<i2")
    savemat(folder / f"{name}.mat", {"val": counts.T}, format="4")
    # write_bytes: a header is the same on every system, line ends included.
    (folder / f"{name}.hea").write_bytes(_header(recording, counts, name).encode("ascii"))
    events = recording.annotations
    wfdb.wrann(
        name,
        "atr",
        events.sample,
        symbol=list(events.symbol),
        aux_note=list(events.aux),
        fs=RATE,
        write_dir=str(folder),
    )


def write_numbered(task: tuple[Path, int, int, str]) -> None:
    """Simulates and writes the recording of (folder, seed, index, name). One argument, for process pools."""
    folder, seed, index, name = task
    write_recording(simulate_recording(seed, index), folder, name)


def _header(recording: SimulatedRecording, counts: np.ndarray, name: str) -> str:
    checksums = counts.sum(axis=0, dtype=np.int16)  # Wraps around, as the format wants it.
    signals = [
        f"{name}.mat 16+24 {GAIN}/mV 16 0 {first} {checksum} 0 {lead}"
        for first, checksum, lead in zip(counts[0], checksums, LEADS, strict=True)
    ]
    codes = [next(code for code in SNOMED_CT if SNOMED_CT[code] == label) for label in CLASSES]
    diagnoses = [code for code, label in zip(codes, CLASSES, strict=True) if label in recording.classes]
    comments = [
        f"#Age: {recording.age:.0f}",
        f"#Sex: {'Female' if recording.sex == 'F' else 'Male'}",
        f"#Dx: {','.join(diagnoses)}",
        "#Rx: Unknown",
        "#Hx: Simulated",
        "#Sx: Unknown",
    ]
    return "\n".join([f"{name} {len(LEADS)} {RATE} {len(counts)}", *signals, *comments, ""])
