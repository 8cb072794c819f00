"""A NumPy array in a file → its signal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from xecgnet_jax.data.io.fields import MILLIVOLTS
from xecgnet_jax.data.leads import MissingLeads, find_leads
from xecgnet_jax.errors import RecordError
from xecgnet_jax.files import open_regular

#: Suffixes of files that hold arrays.
ARRAYS = (".npy", ".npz")


def read_array(
    path: Path, *, units: str, leads: Sequence[str], longest: int, missing_leads: MissingLeads = "refuse"
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Reads an array [samples, columns] of numbers into [T, L] float64 mV, and L leads in the order of `LEADS`.

    Args:
      path: `.npy`, or `.npz` that holds one array.
      units: of all leads: mV, uV or V.
      leads: names of the columns, in any case; those that are no leads are ignored.
      longest: samples beyond which the recording is refused.
      missing_leads: whether all twelve must be there.

    Raises:
      RecordError: the file holds something else, or a lead is missing or named twice, or a value is no number.
    """
    columns, problem = find_leads(leads, "column", missing_leads)
    if problem:
        raise RecordError(f"{path}: --leads has {problem}. Name all columns, in their order.")
    try:
        with open_regular(path) as file:
            values = _one_array(path, file)
    except RecordError:
        raise
    except Exception as error:  # of NumPy, zipfile, zlib and tokenize, by which NumPy reads headers
        raise RecordError(f"{path}: no array of numbers can be read from it ({error}). Save it anew.") from error
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.shape[1] != len(leads) or not len(values):
        turn = "; transpose it: samples come first" if values.ndim == 2 and values.shape[0] == len(leads) else ""
        found = f"holds {values.dtype} {list(values.shape)}"
        raise RecordError(f"{path}: {found}, and must be numbers [samples, {len(leads)}] as --leads names them{turn}.")
    if len(values) > longest:
        raise RecordError(f"{path}: longer than {longest} samples, too long for one ECG. Cut it into pieces.")
    with np.errstate(over="ignore", invalid="ignore"):  # what is no number then is refused
        signal = np.asarray(values[:, list(columns.values())], np.float64) * MILLIVOLTS[units.lower()]
    wrong = np.array(list(columns))[~np.isfinite(signal).all(axis=0)]
    if len(wrong):
        raise RecordError(f"{path}: values of {', '.join(wrong)} are no numbers. Cut them off or fill them in.")
    return signal, tuple(columns)


def _one_array(path: Path, file: BinaryIO) -> np.ndarray:
    loaded = np.load(file, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    if len(loaded.files) != 1:
        names = ", ".join(loaded.files) or "none"
        raise RecordError(f"{path}: holds {len(loaded.files)} arrays ({names}), and must hold one. Save it alone.")
    return np.asarray(loaded[loaded.files[0]])
