"""Reads a struct from a MATLAB 5 file, the format of CPSC2018's original recordings.

Own code although scipy has `loadmat`, because one damaged byte in such a file can make `loadmat` (seen with scipy 1.17;
compare https://github.com/scipy/scipy/issues/6072) crash the process, past any `except`. The format is public:
"MAT-File Format", The MathWorks. Only the parts that a struct of numbers and text needs are read.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

from xecgnet_jax.files import read_bytes

#: Element types of the format that hold numbers.
NUMBERS: dict[int, str] = {
    1: "<i1", 2: "<u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"
}  # fmt: skip
MATRIX, COMPRESSED = 14, 15

#: Array classes of the format.
STRUCT, TEXT, DOUBLE, SINGLE, LAST_INTEGER = 2, 4, 6, 7, 15

#: Bytes before the first element, and what they begin and end with.
HEADER_SIZE: int = 128
LITTLE_ENDIAN_VERSION_1: bytes = b"\x00\x01IM"

#: No file of CPSC2018 has or inflates to more bytes (45 minutes; its longest recording has 144 s), or holds more
#: elements (it has some 20), or longer texts; a crafted file may.
LARGEST, MOST_ELEMENTS, LONGEST_TEXT = 2**27, 1000, 1000


def read_struct(path: Path, name: str) -> dict[str, np.ndarray | str]:
    """Reads the 1 × 1 struct `name` of a file: field → its matrix or text; fields of other kinds are left out.

    Raises:
      ValueError: the file is damaged, of another version of the format, or has no such struct.
      OSError: the file cannot be read.
    """
    content = read_bytes(path, LARGEST)
    if len(content) < HEADER_SIZE or content[HEADER_SIZE - 4 : HEADER_SIZE] != LITTLE_ENDIAN_VERSION_1:
        raise ValueError("it is not in MATLAB's format 5 to 7 (save with -v7)")
    left = LARGEST
    try:
        for kind, element in _elements(memoryview(content)[HEADER_SIZE:]):
            if kind == COMPRESSED:
                stream = zlib.decompressobj()
                inflated = stream.decompress(element, left)  # zlib's own checksum finds nearly all damage.
                left -= len(inflated)
                if not stream.eof or not left:
                    raise ValueError("it is truncated, or too large for a recording")
                kind, element = next(_elements(memoryview(inflated)))
            if kind == MATRIX:
                flags, shape, label, *rest = [part for _, part in _elements(element)]
                if bytes(label[:LONGEST_TEXT]).decode("ascii") == name and flags[0] == STRUCT:
                    return _fields(_to_integers(shape), rest)
    except (struct.error, zlib.error, IndexError, KeyError, StopIteration, UnicodeError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from error
    raise ValueError(f"it has no struct `{name}`")


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields the (type, payload) of each element; each begins on a multiple of 8 bytes."""
    start = 0
    for number in count():
        if start >= len(content):
            return
        if number == MOST_ELEMENTS:
            raise ValueError(f"it holds more than {MOST_ELEMENTS} elements in one")
        kind, size = struct.unpack_from("<II", content, start)
        if kind >> 16:  # A small element: the type's upper half is the size, the payload is in the tag.
            kind, size, begin, step = kind & 0xFFFF, kind >> 16, start + 4, 8
        else:
            begin, step = start + 8, 8 + (size if kind == COMPRESSED else -(-size // 8) * 8)
        if begin + size > len(content) or (begin == start + 4 and size > 4):
            raise ValueError("it is truncated or damaged: an element is longer than what holds it")
        yield kind, content[begin : begin + size]
        start += step


def _to_integers(payload: memoryview) -> list[int]:
    return np.frombuffer(payload, "<i4").tolist()


def _fields(shape: list[int], parts: list[memoryview]) -> dict[str, np.ndarray | str]:
    """Returns the fields of a struct, stored as the length of a name, all names, then one matrix for each."""
    if shape != [1, 1]:
        raise ValueError(f"its struct has the shape {shape} instead of 1 × 1")
    (length,), joined, *matrices = _to_integers(parts[0]), bytes(parts[1]), *parts[2:]
    if length <= 0 or len(joined) != length * len(matrices):
        raise ValueError("it is damaged: the struct has more or fewer names than fields")
    padded = [joined[start : start + length] for start in range(0, len(joined), length)]
    names = [name.split(b"\0")[0].decode("ascii") for name in padded]
    values = {name: _value(matrix) for name, matrix in zip(names, matrices, strict=True)}
    return {name: value for name, value in values.items() if value is not None}


def _value(matrix: memoryview) -> np.ndarray | str | None:
    """Returns a field's matrix or text, None where it is of another class or complex."""
    elements = list(_elements(matrix))
    if len(elements) != 4:  # flags, shape, name, values; a complex matrix has a fifth
        return None
    (_, flags), (_, shape), _, (kind, payload) = elements
    if flags[0] == TEXT:
        text = bytes(payload[:LONGEST_TEXT])  # longer ones are neither an age nor a sex
        return text.decode("utf-16-le" if kind == 4 or kind == 17 else "utf-8")
    if not DOUBLE <= flags[0] <= LAST_INTEGER:
        return None
    stored = np.frombuffer(payload, NUMBERS[kind]).reshape(_to_integers(shape), order="F")
    # MATLAB stores whole-numbered floats as integers; the class says what they are.
    return stored.astype({DOUBLE: np.float64, SINGLE: np.float32}.get(flags[0], stored.dtype), copy=False)
