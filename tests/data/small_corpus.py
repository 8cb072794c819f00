"""A corpus of four small recordings, for tests of what is done with a corpus."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.pack import Pack, pack_of

TABLE = """id,labels,patient,fold,age,sex
R0,AF;RBBB,p1,1,63,F
R1,Normal,p2,2,,M
R2,XYZ;AF,,,,
R3,XYZ,p1,1,41,
"""

#: Converter steps per mV of each recording.
GAINS = (1000, 200, 4880, 1000)


def converter_values(number: int) -> np.ndarray:
    """[500 + 100 number, 12] int16."""
    values = np.random.default_rng(number).integers(-1900, 1900, (500 + 100 * number, 12))
    return values.astype(np.int16)


def write_record(folder: Path, name: str, values: np.ndarray, gain: float = 1000, rate: int = 500) -> None:
    """A WFDB record in format 16."""
    lines = [f"{name} 12 {rate} {len(values)}"]
    for lead, column in zip(LEADS, values.T, strict=True):
        checksum = int(column.sum(dtype=np.int64)) % 65536
        lines.append(f"{name}.dat 16 {gain}(0)/mV 16 0 {column[0]} {checksum} 0 {lead}")
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")
    (folder / f"{name}.dat").write_bytes(values.astype("<i2").tobytes())


def write_corpus(folder: Path) -> Path:
    """The records R0 to R3 and their labels.csv; returns the folder."""
    folder.mkdir()
    for number, gain in enumerate(GAINS):
        write_record(folder, f"R{number}", converter_values(number), gain)
    (folder / "labels.csv").write_text(TABLE)
    return folder


def make(corpus_folder: Path, pack_folder: Path, **options) -> Pack:  # type: ignore[no-untyped-def]
    """`pack_of` without its progress bar."""
    return pack_of(corpus_folder, pack_folder, progress=False, **options)


@contextmanager
def as_another_user() -> Iterator[None]:
    """Acts as a user without rights where this one has all."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(before)
