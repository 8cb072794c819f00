"""Formats of hospitals: the beginning of a file → the module that reads it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from xecgnet_jax.data.io import aecg, dicom, edf, muse, philips, scp
from xecgnet_jax.data.io.hospital import INSTALL, Contents, assemble
from xecgnet_jax.data.io.recording import Recording
from xecgnet_jax.data.leads import MissingLeads
from xecgnet_jax.errors import RecordError

#: Bytes of a file that are looked at to tell its format.
HEAD = 65_536


class Format(NamedTuple):
    """A format: whether a file begins like it, how it is read, and the most bytes that a recording of it has."""

    kind: str
    recognizes: Callable[[bytes], bool]
    read: Callable[[Path], Contents]
    largest: int


FORMATS = (
    Format(dicom.KIND, dicom.recognizes, dicom.read, 100_000_000),
    Format(edf.KIND, edf.recognizes, edf.read, 100_000_000),
    Format(scp.KIND, scp.recognizes, scp.read, 10_000_000),
    Format(muse.KIND, muse.recognizes, muse.read, 20_000_000),
    Format(philips.KIND, philips.recognizes, philips.read, 20_000_000),
    Format(aecg.KIND, aecg.recognizes, aecg.read, 50_000_000),
)


def format_of(path: Path) -> Format | None:
    """Returns the format of a file by its content, None where it is none of these or cannot be opened."""
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    return next((one for one in FORMATS if one.recognizes(head)), None)


def can_be_read_now(cause: str) -> bool:
    """Whether a recording was refused for want of packages that are installed meanwhile."""
    wanted = [package for package in ("ecgdatakit", "pydicom") if _is_needed(package) in cause]
    return bool(wanted) and all(find_spec(package) for package in wanted)


def _is_needed(package: str) -> str:
    return f"{package} is needed: {INSTALL}"


def read_hospital(path: Path, kind: Format, missing_leads: MissingLeads = "refuse") -> Recording:
    """Reads a recording of one of these formats, at the rate of the file; `missing_leads` as in `assemble`.

    Raises:
      RecordError: the extra is not installed, or the recording cannot be vouched for.
    """
    if not path.is_file():
        raise RecordError(f"{path}: is no regular file.")
    if path.stat().st_size > kind.largest:
        raise RecordError(f"{path}: larger than {kind.largest / 1e6:.0f} MB, too large for one ECG in {kind.kind}.")
    for package in ("ecgdatakit", "pydicom") if kind.kind == dicom.KIND else ("ecgdatakit",):
        try:
            import_module(package)
        except ImportError:
            raise RecordError(f"{path}: is {kind.kind}, for which {_is_needed(package)}.") from None
    return assemble(path, kind.kind, kind.read(path), missing_leads)
