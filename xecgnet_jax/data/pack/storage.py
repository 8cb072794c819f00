"""The files of a pack: written whole or not at all, and checked when they are opened."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from xecgnet_jax.errors import PackError, shorten
from xecgnet_jax.files import NO_LOCKS, is_leftover, read_sealed, sealed, sha256, write_bytes

#: Raise it whenever the same corpus would give another pack, so that old packs are made anew.
FORMAT: int = 7

#: All files of a pack: the manifest in its folder, the others in a folder in it that the manifest names, so that a pack
#: can be replaced while another process has it mapped. The manifest has the sha256 of the small files, and of itself.
SAMPLES, INDEX, RECORDINGS, AUDIT, MANIFEST = "samples.npy index.npz recordings.json audit.json pack.json".split()
FILES: frozenset[str] = frozenset({SAMPLES, INDEX, RECORDINGS, AUDIT, MANIFEST})
#: Beside the manifest: the state of the file of samples that was last read and found to be as written.
CHECKED = "checked.json"

#: Names of the folders in a pack.
GENERATION = re.compile("[0-9a-f]{16}")

#: Seconds without a write after which an unfinished pack must come from a killed process.
ABANDONED: float = 3600.0


def lock_file(folder: Path) -> Path:
    """Returns the file that is there while a process packs into a folder."""
    return folder.with_name(f".{folder.name}.lock")


@contextmanager
def packing_alone(folder: Path) -> Iterator[None]:
    """Lets one process after another pack into a folder, also of several computers that share its file system.

    Where the file system has no locks, each packs by itself: the last one's pack stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(folder))
    try:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waits = f"another process is packing into {shorten(str(folder), 200)}; waiting for it"
            tqdm.write(waits, file=sys.stderr)
            lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it itself, once it is let go
            lock_file(folder).unlink(missing_ok=True)
        lock.release()


@contextmanager
def new_generation(folder: Path) -> Iterator[Path]:
    """Makes an empty folder for the files of a pack, inside the pack's folder, and removes it if the block fails.

    `write_checked` puts them in the place of those before, at once; these are removed when the block ends, where no
    other process has them mapped (Windows keeps mapped files), else by a later build.

    Raises:
      PackError: `folder` is something else than a pack, which would be lost.
    """
    is_ours = folder.is_dir() and all(_is_ours(path) for path in folder.iterdir())
    if folder.exists() and not is_ours:
        raise PackError(f"{folder}: is no pack, or holds other files too; choose another folder for the pack")
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / secrets.token_hex(8)
    new.mkdir()
    try:
        before = read_manifest(folder).get("folder")
    except PackError:
        before = None
    try:
        yield new
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    for path in folder.iterdir():
        if path.is_dir() and (path.name == before or (path != new and _is_abandoned(path))):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and path.name != MANIFEST and (not is_leftover(path) or _is_abandoned(path)):
            path.unlink()  # of an older version, which had no folders, or of a process that was killed


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return bool(GENERATION.fullmatch(path.name))
    return path.name in FILES | {CHECKED} or (
        is_leftover(path) and path.name.startswith((f".{MANIFEST}.", f".{CHECKED}."))
    )


def _is_abandoned(path: Path) -> bool:
    try:
        inside = path.iterdir() if path.is_dir() else ()
        last_write = max(one.stat().st_mtime for one in (path, *inside))
    except FileNotFoundError:  # another process is at work there
        return False
    return time.time() - last_write > ABANDONED


@contextmanager
def samples_writer(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Writes a `.npy` file of int16 [N, 12] whose N is known only at the end: by a function that appends [T, 12]."""
    count = 0

    def write_header() -> None:
        # NumPy pads headers so that the first axis can grow in place: both headers have the same length.
        header = {"descr": "<i2", "fortran_order": False, "shape": (count, 12)}
        np.lib.format.write_array_header_1_0(file, header)

    def append(samples: np.ndarray) -> None:
        nonlocal count
        file.write(samples.astype("<i2").tobytes())
        count += len(samples)

    with path.open("wb") as file:
        write_header()
        yield append
        file.seek(0)
        write_header()
        file.flush()
        os.fsync(file.fileno())  # so that a pack in its place survives a power failure


def map_samples(folder: Path, manifest: Mapping[str, Any]) -> np.ndarray:
    """Returns the samples, [N, 12] int16, memory-mapped and read-only; refuses a file that does not hold them."""
    path, count = generation_folder(folder, manifest) / SAMPLES, manifest["samples"]
    try:
        samples = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(folder, f"{SAMPLES} cannot be opened ({error})") from error
    if not isinstance(samples, np.memmap) or samples.dtype != np.int16 or samples.shape != (count, 12):
        raise damaged(folder, f"{SAMPLES} does not hold int16 samples of shape [{count}, 12]")
    if samples.offset + samples.nbytes != path.stat().st_size:
        raise damaged(folder, f"{SAMPLES} has bytes after its samples")
    return samples


def write_checked(folder: Path, files: Mapping[str, bytes], manifest: Mapping[str, Any]) -> None:
    """Writes small files into the folder of `new_generation`, then the manifest beside it: from now on it is the pack.

    The manifest gets the name of the folder and the sha256 of the files in addition to the given content.
    """
    digests = {name: sha256(content) for name, content in files.items()}
    about = {"folder": folder.name, "sha256": digests, "samples_state": _samples_state(folder)}
    manifest = sealed({**manifest, **about})
    for name, content in files.items():
        write_bytes(folder / name, content)
    write_bytes(folder.parent / MANIFEST, to_json(manifest, indent=1))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads the manifest of a pack; refuses one that is missing or not as it was written."""
    if not folder.is_dir():
        raise PackError(f"{folder}: no such pack; make it first")
    try:
        return read_sealed(folder / MANIFEST)
    except OSError as error:
        raise damaged(folder, f"{MANIFEST} cannot be read ({error.strerror})") from error
    except ValueError:
        raise damaged(folder, f"{MANIFEST} is not as it was written") from None


def read_checked(folder: Path, name: str, manifest: Mapping[str, Any]) -> bytes:
    """Reads a small file; refuses one that is missing or whose sha256 is not that of the manifest."""
    content = _read(generation_folder(folder, manifest), name, folder)
    if sha256(content) != manifest["sha256"][name]:
        raise damaged(folder, f"{name} is not as it was written")
    return content


def is_known_state(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether the file of samples has not changed since it was written, or was read and found to be as written."""
    state = _samples_state(generation_folder(folder, manifest))
    if state == manifest.get("samples_state"):
        return True
    try:
        return read_sealed(folder / CHECKED).get("samples_state") == state
    except (OSError, ValueError):
        return False


def keep_state(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Keeps that the samples are as written, where the folder can be written to."""
    with suppress(OSError):
        state = _samples_state(generation_folder(folder, manifest))
        write_bytes(folder / CHECKED, to_json(sealed({"samples_state": state})))


def _samples_state(folder: Path) -> list[Any]:
    """Returns the file of samples as [folder, bytes, nanoseconds of the last change]; of none, the folder."""
    try:
        found = (folder / SAMPLES).stat()
    except OSError:
        return [folder.name]
    return [folder.name, found.st_size, found.st_mtime_ns]


def to_json(value: object, indent: int | None = None) -> bytes:
    """Returns JSON as bytes. NaN is refused, because it would not be JSON."""
    return json.dumps(value, allow_nan=False, indent=indent).encode()


def generation_folder(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Returns the folder that has the other files; refuses a manifest that names none inside the pack."""
    if not GENERATION.fullmatch(str(manifest.get("folder"))):
        raise damaged(folder, f"{MANIFEST} names no folder of a pack")
    return folder / manifest["folder"]


def _read(folder: Path, name: str, pack: Path) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise damaged(pack, f"{name} cannot be read ({error.strerror})") from error


def damaged(folder: Path, cause: str) -> PackError:
    return PackError(f"{folder}: the pack is damaged: {cause}; delete the folder and make the pack anew")
