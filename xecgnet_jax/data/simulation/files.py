"""A simulated recording → its three files, as the PhysioNet/CinC Challenges lay them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xecgnet_jax.data.labels import CLASSES, SNOMED_CT
from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.data.simulation.recording import SimulatedRecording, simulate_recording

#: Converter steps per mV, as in the Challenges' CPSC2018.
GAIN: int = 1000

#: The largest value of 16 bits; the smallest marks an invalid sample in WFDB files and is not used.
LIMIT: int = 32767


def write_simulated(task: tuple[Path, int, int, str]) -> None:
    """Simulates the recording of (folder, seed, index, name) and writes it; one argument, for process pools.

    The files are `name`.hea (WFDB header), `name`.mat (MATLAB v4, `val`: int16 [12, T]) and `name`.atr, whose beats
    and other events are the recording's annotations.
    """
    import wfdb
    from scipy.io import savemat

    folder, seed, index, name = task
    recording = simulate_recording(seed, index)
    values = np.clip(np.rint(recording.signal * GAIN), -LIMIT, LIMIT).astype("<i2")
    savemat(folder / f"{name}.mat", {"val": values.T}, format="4")
    # write_bytes: a header is the same on every system, line ends included.
    (folder / f"{name}.hea").write_bytes(_header(recording, values, name).encode("ascii"))
    events = recording.annotations
    symbols, notes = list(events.symbol), list(events.aux)
    wfdb.wrann(name, "atr", events.sample, symbol=symbols, aux_note=notes, fs=RATE, write_dir=str(folder))


def _header(recording: SimulatedRecording, values: np.ndarray, name: str) -> str:
    """Returns the text of the WFDB header of a recording with these [T, 12] converter values."""
    checksums = values.sum(axis=0, dtype=np.int16)  # Wraps around, as the format wants it.
    first_codes = {label: code for code, label in reversed(SNOMED_CT.items())}
    lines = [
        f"{name} {len(LEADS)} {RATE} {len(values)}",
        *(
            f"{name}.mat 16+24 {GAIN}/mV 16 0 {first} {checksum} 0 {lead}"
            for first, checksum, lead in zip(values[0], checksums, LEADS, strict=True)
        ),
        f"#Age: {recording.age:.0f}",
        f"#Sex: {'Female' if recording.sex == 'F' else 'Male'}",
        f"#Dx: {','.join(first_codes[label] for label in CLASSES if label in recording.classes)}",
        "#Rx: Unknown",
        "#Hx: Simulated",
        "#Sx: Unknown",
    ]
    return "\n".join([*lines, ""])
