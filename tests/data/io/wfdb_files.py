"""WFDB records of every format, written by encoders of our own, from the text of the specification."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from xecgnet_jax.data.leads import LEADS

#: Format → bits of a sample. Format 8 stores differences in 8 bits, of samples that may have more.
BITS = {8: 8, 80: 8, 508: 8, 310: 10, 311: 10, 212: 12, 16: 16, 61: 16, 160: 16, 516: 16, 24: 24, 524: 24, 32: 32}

#: Formats that are streams of FLAC, which have up to eight signals.
FLAC = (508, 516, 524)


def random_counts(fmt: int, samples: int, signals: int = 12, seed: int = 0) -> np.ndarray:
    """[T, signals] int64, over the range of a format without the mark of invalid samples; in format 8 a walk."""
    largest = 2 ** (BITS[fmt] - 1) - 1
    values = np.random.default_rng(seed).integers(-largest, largest, (samples, signals), endpoint=True)
    return values.cumsum(axis=0) if fmt == 8 else values


def _in_groups(values: list[int], size: int) -> list[list[int]]:
    padded = values + [0] * (-len(values) % size)
    return [padded[start : start + size] for start in range(0, len(padded), size)]


def encode(values: np.ndarray, fmt: int, first: Sequence[int] = ()) -> bytes:
    """The bytes of a signal file with [T, signals] values; `first` are what format 8 begins with."""
    if fmt in FLAC:
        file = BytesIO()
        subtype = {508: "PCM_S8", 516: "PCM_16", 524: "PCM_24"}[fmt]
        full_scale = (values << (32 - BITS[fmt])).astype(np.int32)
        soundfile.write(file, full_scale, 96_000, subtype=subtype, format="FLAC")
        return file.getvalue()
    if fmt == 8:
        values = np.diff(values, axis=0, prepend=np.array([first]))
    flat: list[int] = values.ravel().tolist()
    if fmt in (80, 160):  # offset binary
        return b"".join((value + 2 ** (BITS[fmt] - 1)).to_bytes(BITS[fmt] // 8, "little") for value in flat)
    if fmt in (8, 16, 24, 32, 61):
        return b"".join(value.to_bytes(BITS[fmt] // 8, "big" if fmt == 61 else "little", signed=True) for value in flat)
    bits = [value % 2 ** BITS[fmt] for value in flat]  # two's complement
    if fmt == 212:  # the low bits of the first, four bits each of both, the low bits of the second
        whole = b"".join(bytes([a & 255, a >> 8 | b >> 8 << 4, b & 255]) for a, b in _in_groups(bits, 2))
        return whole[: len(whole) - len(bits) % 2]
    if fmt == 311:  # three from the lowest bit of 32 on
        whole = b"".join((a | b << 10 | c << 20).to_bytes(4, "little") for a, b, c in _in_groups(bits, 3))
        return whole[: len(whole) - {0: 0, 1: 2, 2: 1}[len(bits) % 3]]
    # 310: two in 11 bits of a pair of bytes each, the lowest unused; the third in the five bits above of both pairs
    pairs = [(a << 1 | (c & 31) << 11, b << 1 | c >> 5 << 11) for a, b, c in _in_groups(bits, 3)]
    whole = b"".join(low.to_bytes(2, "little") + high.to_bytes(2, "little") for low, high in pairs)
    return whole[: len(whole) - {0: 0, 1: 2, 2: 0}[len(bits) % 3]]


def write_record(
    folder: Path,
    values: np.ndarray,
    formats: Sequence[int],
    *,
    names: Sequence[str] = LEADS,
    offset: int = 0,
    length: int | None = None,
    checksums: bool = True,
) -> Path:
    """The record `r` at 500 Hz, 200 steps per mV, 3 for 0 mV; its signals are spread over a file for each format."""
    folder.mkdir(exist_ok=True, parents=True)
    lines = [f"r {len(names)} 500" + (f" {len(values) if length is None else length}" if length != 0 else "")]
    columns_of_files = np.array_split(np.arange(len(names)), len(formats))
    for number, (fmt, columns) in enumerate(zip(formats, columns_of_files, strict=True)):
        part = values[:, columns]
        first = part[0] - 7 if fmt == 8 and len(part) else np.zeros(len(columns), int)
        stated = f"{fmt}+{offset}" if offset else f"{fmt}"
        if fmt in FLAC:  # an offset in samples of each signal
            content = encode(np.concatenate([np.ones((offset, len(columns)), int), part]), fmt)
        else:
            content = b"\x55" * offset + encode(part, fmt, first)
        (folder / f"r{number}.dat").write_bytes(content)
        for column, start in zip(columns, first, strict=True):
            checksum = int(values[:, column].sum()) % 65536 if checksums else 0
            lines.append(f"r{number}.dat {stated} 200(3)/mV 16 0 {start} {checksum} 0 {names[column]}")
    path = folder / "r.hea"
    path.write_text("\n".join(lines) + "\n")
    return path


def in_millivolts(values: np.ndarray) -> np.ndarray:
    """What `write_record` wrote."""
    return ((values - 3) / 200).astype(np.float32)
