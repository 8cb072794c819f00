"""A small corpus on disk, as a user would have one: WFDB records and a labels.csv."""

from pathlib import Path

import numpy as np
import wfdb

from xecgnet_jax.data.records import LEADS, RATE

CODES = ("AF", "Normal", "RBBB", "AF;RBBB")


def write(folder: Path, *, recordings: int = 24, seed: int = 0, longest: int = 1500) -> Path:
    """Noise with a sinusoid per class in every lead: easy to learn, of unequal lengths, two recordings a patient."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = ["id,labels,patient,fold"]
    for index in range(recordings):
        codes = CODES[index // 2 % len(CODES)]
        length = int(rng.integers(600, longest + 1))
        seconds = np.arange(length)[:, None] / RATE
        signal = 0.05 * rng.standard_normal((length, len(LEADS)))
        for code, frequency in (("AF", 7.0), ("Normal", 2.0), ("RBBB", 30.0)):
            if code in codes.split(";"):
                signal += np.sin(2 * np.pi * (frequency * seconds + rng.uniform()))
        name = f"R{index:03d}"
        wfdb.wrsamp(
            name,
            fs=RATE,
            units=["mV"] * len(LEADS),
            sig_name=list(LEADS),
            p_signal=signal,
            fmt=["16"] * len(LEADS),
            adc_gain=[1000.0] * len(LEADS),
            baseline=[0] * len(LEADS),
            write_dir=str(folder),
        )
        rows.append(f"{name},{codes},P{index // 2},{index // 2 % 3 + 1}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
