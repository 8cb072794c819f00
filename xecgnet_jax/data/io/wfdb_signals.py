"""A WFDB signal file → the integers of its converter.

Own code: the wfdb package reads the header a second time, takes the name of a record apart (`::` is an address, letters
that are not ASCII are dropped), and compares no size with the header. The formats:
https://physionet.org/physiotools/wag/signal-5.htm
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from xecgnet_jax.errors import RecordError
from xecgnet_jax.files import open_regular

#: Format → for each sample of a block, how many bytes of the block must be there to know it; the last is the block's
#: size. The blocks of 212, 310 and 311 hold several samples.
BLOCKS: dict[int, tuple[int, ...]] = {
    8: (1,), 80: (1,), 16: (2,), 61: (2,), 160: (2,), 24: (3,), 32: (4,), 212: (2, 3), 310: (2, 4, 4), 311: (2, 3, 4)
}  # fmt: skip

#: Format → type of a sample, where samples are whole bytes.
_TYPES = {8: "<i1", 80: "<u1", 16: "<i2", 61: ">i2", 160: "<u2", 32: "<i4"}

#: FLAC formats → bits per sample; files of fewer bits are allowed.
FLAC: dict[int, int] = {508: 8, 516: 16, 524: 24}

#: Format → bits per sample. The lowest value that they hold marks an invalid sample; format 8 stores differences and
#: has no such mark.
SAMPLE_BITS: dict[int, int] = {80: 8, 310: 10, 311: 10, 212: 12, 16: 16, 61: 16, 160: 16, 24: 24, 32: 32} | FLAC


class Storage(NamedTuple):
    """The way in which the signals of a file are stored."""

    format: int  #: of WFDB, for example 16
    offset: int = 0  #: bytes before the first sample; in FLAC samples of each signal


def read_samples(
    header: Path, file: str, storage: Storage, signals: int, length: int | None, longest: int
) -> np.ndarray:
    """Reads a signal file: [T, signals] integers, in format 8 above the first value that the header states.

    Its size is compared with what the header says before it is read.

    Args:
      header, file: the header's path, and the file's name in its folder.
      storage, signals: the format, and how many signals the file holds.
      length: samples T of each signal; None where the header does not say.
      longest: the most samples T.

    Raises:
      RecordError: the file is missing, is no regular file, or does not fit the header.
    """
    try:
        os.fsencode(file)
    except UnicodeEncodeError:
        problem = "cannot be opened in the encoding of this system"
        raise RecordError(f"{header}: its signal file {file!a} {problem}. Set a UTF-8 locale.") from None
    try:
        with open_regular(header.parent / file) as opened:
            read = _read_flac if storage.format in FLAC else _read_blocks
            return read(opened, storage, signals, length, longest)
    except FileNotFoundError as error:
        raise RecordError(f"{header}: its signal file {file} is missing. Restore it.") from error
    except OSError as error:
        raise RecordError(f"{header}: its signal file {file} cannot be read ({error.strerror}). Restore it.") from error
    except RecordError as error:
        raise RecordError(f"{header}: {file}: {error}") from error


def _check_length(found: int, length: int | None, longest: int) -> None:
    """Raises an error where a file has another number of samples than its header says, or too many."""
    if length is not None and length != found:
        problem = f"the header promises {length} samples, the signal file has {found}"
        raise RecordError(f"{problem}. Restore both from the corpus.")
    if found > longest:
        raise RecordError(f"{found} samples are too many for one ECG, which has at most {longest}. Cut it into pieces.")


def _read_blocks(file: BinaryIO, storage: Storage, signals: int, length: int | None, longest: int) -> np.ndarray:
    """Reads a file of blocks; the last one may be cut off behind the last sample, or be filled up."""
    ends = BLOCKS[storage.format]
    size = os.fstat(file.fileno()).st_size - storage.offset
    whole, rest = divmod(size, ends[-1])
    found = (whole * len(ends) + sum(end <= rest for end in ends)) // signals
    if length is not None and _fits(size, ends, length * signals):
        found = length
    if size < 0 or not _fits(size, ends, found * signals):
        problem = f"the signal file does not hold whole samples of {signals} signals"
        raise RecordError(f"{problem}. It is truncated or another file: restore it.")
    _check_length(found, length, longest)
    file.seek(storage.offset)
    content = file.read(size)
    if len(content) < size:
        raise RecordError("the signal file became shorter while it was read. Try again.")
    values = _decode(content, storage.format)[: found * signals].reshape(found, signals)
    return np.cumsum(values, axis=0, dtype=np.int64) if storage.format == 8 else values


def _fits(size: int, ends: tuple[int, ...], samples: int) -> bool:
    """Whether a file of `size` bytes holds so many samples: not fewer, and no block more."""
    blocks, rest = divmod(samples, len(ends))
    least = blocks * ends[-1] + (ends[rest - 1] if rest else 0)
    return least <= size <= -(-samples // len(ends)) * ends[-1]


def _decode(content: bytes, kind: int) -> np.ndarray:
    """Returns the samples of whole blocks, or of those that bytes of value 0 make whole."""
    if kind in _TYPES:
        values = np.frombuffer(content, _TYPES[kind])
        return values if kind not in (80, 160) else values.astype(np.int32) - 2 ** (SAMPLE_BITS[kind] - 1)
    size = BLOCKS[kind][-1]
    blocks = np.frombuffer(content + bytes(-len(content) % size), np.uint8).reshape(-1, size).astype(np.int32)
    first, second, third, *fourth = blocks.T
    if kind == 24:
        parts = [first | second << 8 | third << 16]
    elif kind == 212:
        parts = [first | (second & 15) << 8, third | (second >> 4) << 8]
    else:
        low, high = first | second << 8, third | fourth[0] << 8
        if kind == 310:
            parts = [low >> 1, high >> 1, low >> 11 | high >> 11 << 5]
        else:
            parts = [low, low >> 10 | high << 6, high >> 4]
    bits = SAMPLE_BITS[kind]
    values = np.stack(parts, axis=1).ravel() & (2**bits - 1)
    return (values ^ 2 ** (bits - 1)) - 2 ** (bits - 1)  # two's complement


def _read_flac(file: BinaryIO, storage: Storage, signals: int, length: int | None, longest: int) -> np.ndarray:
    """Reads a FLAC file; how many samples it has stands at its beginning."""
    import soundfile  # like scipy where it is used: most files are of other formats

    is_flac = file.read(4) == b"fLaC"
    file.seek(0)
    try:
        if not is_flac:
            raise RecordError("the signal file is no FLAC file. Restore it.")
        with soundfile.SoundFile(file) as sound:
            bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(sound.subtype, 32)
            if sound.channels != signals or bits > FLAC[storage.format]:
                found = f"{sound.channels} signals of {bits} bits"
                raise RecordError(f"the signal file has {found}, the header says {signals} of {FLAC[storage.format]}.")
            _check_length(sound.frames - storage.offset, length, longest)
            sound.seek(storage.offset)
            # In pieces: libsndfile fails at more than 2²⁴ samples at once.
            pieces = list(sound.blocks(2**20, dtype="int32", always_2d=True))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise RecordError("the signal file is damaged or cut off. Restore it.") from error
    values = np.concatenate([np.empty((0, signals), np.int32), *pieces])
    if len(values) != sound.frames - storage.offset:
        raise RecordError(f"the signal file is cut off after {len(values)} samples. Restore it.")
    return values >> (32 - bits)
