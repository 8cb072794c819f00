"""Files that cannot lie: written whole or not at all, with checksums; bounded reads; the place of caches."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from xecgnet_jax.errors import ConfigError

#: gs://bucket/run; paths keep one of the slashes. Drives of Windows have one letter.
_ADDRESS = re.compile("([A-Za-z][A-Za-z0-9+.-]+):/")
#: Bytes that a table or file of settings has at most.
LARGEST_TABLE = 100_000_000
#: Names of files that are being written.
_TEMPORARY = re.compile(r"\..+\.\d+(-[0-9a-f]{8})?\.tmp")
#: What file systems say that have no locks.
NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP}
#: Of a folder: name of each of its files → sha256, as a sealed table.
CHECKSUMS = "sha256.json"


def write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path` through a temporary file beside it; afterwards it outlasts a power cut."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"  # containers on one file system may all have the process 1
    temporary = path.with_name(f".{path.name}.{name}.tmp")
    try:
        with temporary.open("wb") as file:
            _write_through(file, content)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is told without a name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Whether a file has the name of one that `write_bytes` had not finished, as of a process that was killed."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Removes what killed processes left of files of this name in a folder, which no process is writing to."""
    for path in folder.glob(f".{name}.*.tmp"):
        if is_leftover(path):
            path.unlink(missing_ok=True)


def create_private(path: Path, content: bytes) -> None:
    """Writes a file that only its user can read, unless it is there: of several processes one writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # with such permissions from the start
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            _write_through(file, content)
        try:
            path.hardlink_to(temporary)  # which, unlike a rename, leaves what is there
        except FileExistsError:
            return
        except OSError:  # a file system without links
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_through(file: BinaryIO, content: bytes) -> None:
    """Writes to an open file, and brings it to the disk."""
    file.write(content)
    file.flush()
    os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Writes `text` in UTF-8, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes JSON; NaN and infinities are refused, not written as something that is no JSON."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Returns what a file of JSON holds. Raises OSError, or ValueError where it is none, however deep it is nested."""
    try:
        with open_regular(path) as file:
            return json.loads(file.read().decode("utf-8"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def sync(path: Path) -> None:
    """Brings a file or folder to the disk. Windows cannot do this to folders."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(content: bytes) -> str:
    """Returns the sha256 of bytes, as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file, which may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(table: Mapping[str, Any]) -> str:
    """Returns the sha256 of a table of JSON values without its entry "seal"."""
    unsealed = {name: value for name, value in table.items() if name != "seal"}
    return sha256(json.dumps(unsealed, allow_nan=False).encode())


def sealed(table: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a table of JSON values with its seal, by which `read_sealed` knows that it is as it was written."""
    return {**table, "seal": seal(table)}


def read_sealed(path: Path) -> dict[str, Any]:
    """Returns a table that was sealed. Raises OSError, or ValueError where it is not as it was written."""
    table = read_json(path)
    if not isinstance(table, dict) or table.get("seal") != seal(table):
        raise ValueError("not as it was written")
    return table


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Writes the checksums of files in a folder, and brings these files and their folders to the disk."""
    digests = {}
    for path in sorted(files):
        digests[path.relative_to(folder).as_posix()] = sha256_of(path)
        sync(path)
    for inner in {parent for name in digests for parent in (folder / name).parents if parent.is_relative_to(folder)}:
        sync(inner)
    write_json(folder / CHECKSUMS, sealed({"files": digests}))


def damaged_file(folder: Path, *parts: str) -> str | None:
    """Returns the name of a file in a folder that is not as its checksum says, None where all are.

    Args:
      folder: with checksums.
      parts: folders in it that are looked at; without them, all files are.

    Raises:
      FileNotFoundError: it has no checksums.
    """
    try:
        digests = read_sealed(folder / CHECKSUMS)["files"]
    except ValueError:
        return CHECKSUMS
    for name, digest in digests.items():
        if parts and name.split("/")[0] not in parts:
            continue
        path = folder / name
        if not path.is_file() or sha256_of(path) != digest:
            return str(name)
    return None


def check_local(path: Path, name: str) -> None:
    """Raises ConfigError, naming the argument, where a path is an address or begins with ~: no folder is meant."""
    text = path.as_posix()
    if match := _ADDRESS.match(text):
        raise ConfigError(
            f"{name} {match[1]}://{text[match.end() :].lstrip('/')}: is an address; give a folder or file"
        )
    if path.parts[:1] == ("~",):
        raise ConfigError(f"{name} {text}: ~ is your home folder only without quotes; give the whole path")


def check_writable(folder: Path, name: str) -> None:
    """Raises ConfigError, naming the argument, where a folder cannot be made or written to."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"{name} {folder}: {there} is no folder; choose another place")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise ConfigError(
            f"{name} {folder}: {there} cannot be written to ({error.strerror}); choose another place"
        ) from error


def check_room(folder: Path, needed: int) -> None:
    """Raises OSError, naming a folder that is there, where its disk has less room than so many bytes."""
    if (free := shutil.disk_usage(folder).free) < needed:
        problem = f"{os.strerror(errno.ENOSPC)}: {needed:,} bytes are needed, {free:,} are free"
        raise OSError(errno.ENOSPC, problem, str(folder))


def irregular(path: str | Path) -> str:
    """Returns what stands at a path instead of a regular file or a link to one, as "is a pipe"; "" where it is one."""
    try:
        return _kind(path)
    except OSError as error:
        return f"cannot be opened ({error.strerror})"


def _kind(path: str | Path) -> str:
    mode = os.stat(path).st_mode  # noqa: PTH116  (`Path` refuses names that the system may allow)
    kinds = {stat.S_IFREG: "", stat.S_IFDIR: "is a folder", stat.S_IFIFO: "is a pipe", stat.S_IFSOCK: "is a socket"}
    return kinds.get(stat.S_IFMT(mode), "is a device")


def open_regular(path: str | Path) -> BinaryIO:
    """Opens a regular file for reading in bytes. A pipe would be waited for, and a device may never end.

    Raises:
      OSError: it cannot be opened, or is no regular file; `strerror` says which.
    """
    if problem := _kind(path):
        raise OSError(errno.EINVAL, problem, str(path))
    # Should it have become a pipe since, it is not waited for, and has no size.
    return open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))


def read_bytes(path: str | Path, largest: int) -> bytes:
    """Reads a regular file of at most `largest` bytes.

    Raises:
      OSError: as `open_regular`, or it is larger, which is found out before it is read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise OSError(errno.EFBIG, f"larger than {largest:,} bytes", str(path))
        content = file.read(size + 1) or b""
    if len(content) > size:  # as the files of /proc, which say that they are empty
        raise OSError(errno.EINVAL, "is longer than the system says", str(path))
    return content


def default_cache() -> Path:
    """Returns the folder of the user's caches that is this package's; one in the current folder where none is known."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(home).expanduser() / "xecgnet-jax"
    except RuntimeError:  # no home folder: a container that runs as any user
        return Path(".xecgnet-cache")
