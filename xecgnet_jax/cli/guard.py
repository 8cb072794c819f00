"""What a command that fails prints, and its exit status: one line, whatever was raised."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import warnings
from types import TracebackType
from typing import Any

from xecgnet_jax.errors import CorpusError, PackError, RecordError, SplitError, StoppedError, XECGNetError
from xecgnet_jax.terminal import warn

#: Exit statuses: a fault of this program, or of another process of a run; what a user can act on (files, settings,
#: memory, disk, devices); stopped by Ctrl-C, SIGTERM or SIGUSR1, and saved where it trained; the reader of the pipe is
#: gone.
FAULT, REFUSED, STOPPED, UNREAD = 1, 2, 130, 141
#: What XLA says where memory runs out, at compiling or running.
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory", "bad_alloc")
#: What an error says of a full disk, and the path in it: TensorStore raises no OSError.
_FULL, _PATH = re.compile("No space left on device|Disk quota exceeded"), re.compile('"(/[^"]+)"')
#: How messages of XLA begin where a collective is broken.
_STATUS = re.compile("UNKNOWN|INTERNAL|UNAVAILABLE|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION")
#: What to do about a full disk.
_MAKE_ROOM = "make room on the disk; nothing half-written is left"


def quiet_libraries() -> None:
    """Keeps off the terminal what asyncio and TensorStore print, a thousand lines, of a save that failed.

    The save itself raises what is reported.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    sys.excepthook = _show
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _show_unraisable  # which newer versions of TensorStore call


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not _is_of_a_failed_save(error):
        sys.__excepthook__(kind, error, trace)


def _show_unraisable(found: Any) -> None:
    if not _is_of_a_failed_save(found.exc_value):
        sys.__unraisablehook__(found)


def _is_of_a_failed_save(error: BaseException | None) -> bool:
    return type(error) is RuntimeError and str(error) == "Event loop is closed"


def report(error: BaseException, command: Any = None) -> int:
    """Prints what a command was ended by, and returns its exit status; `command` is what it was asked to do."""
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left unwritten goes nowhere
        return UNREAD
    if isinstance(error, KeyboardInterrupt | StoppedError):
        warn(str(error) or "stopped")
        return STOPPED
    status, text = describe(error, command)
    warn(f"error: {text}")
    return status


def leave_at_once(error: BaseException, status: int) -> None:
    """Ends this process here where others of its run would wait for it: all but one that all have agreed to stop."""
    if _is_one_of_several() and not isinstance(error, StoppedError):
        sys.stdout.flush()
        os._exit(status)


def describe(error: BaseException, command: Any = None) -> tuple[int, str]:
    """Returns the exit status and the line of an error."""
    if isinstance(error, CorpusError | PackError | RecordError | SplitError) and _hides_names(command):
        hidden = "something is wrong with the corpus; what it is names recordings, which --hash-ids hides"
        return REFUSED, f"{hidden}: the same command without it tells"
    if isinstance(error, XECGNetError):
        return REFUSED, str(error)
    if (said := _FULL.search(str(error))) and not isinstance(error, OSError):
        where = f"{found[1]}: " if (found := _PATH.search(str(error))) else ""
        return REFUSED, f"{where}{said[0]}; {_MAKE_ROOM}"
    if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
        return REFUSED, f"memory ran out ({_first_line(error)}); {_lower(command)}"
    if isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = _MAKE_ROOM if full else "check the path and its permissions"
        return REFUSED, f"{where}{error.strerror or error}; {remedy}"
    if _is_one_of_several() and _STATUS.match(str(error)):
        return FAULT, (
            f"another process of the run has ended, or cannot be reached ({_first_line(error)}); "
            "its own lines tell why; the same command goes on from the last checkpoint"
        )
    if (cause := _without_device()) is not None:
        asked = os.environ.get("JAX_PLATFORMS")
        remedy = f"JAX_PLATFORMS is {asked}: unset it, or install JAX for it" if asked else "install JAX anew"
        return REFUSED, f"JAX finds no device ({_first_line(cause)}); {remedy}"
    return FAULT, (
        f"{_first_line(error)} (a fault of this program, or a file that it does not foresee; --traceback shows where)"
    )


def _hides_names(command: Any) -> bool:
    return bool(getattr(getattr(command, "corpus", None), "hash_ids", False))


def _is_one_of_several() -> bool:
    return "jax" in sys.modules and bool(sys.modules["jax"].distributed.is_initialized())


def _without_device() -> Exception | None:
    """Returns what JAX says where it finds no device, None where it finds one or was not needed."""
    try:
        if "jax" in sys.modules:
            sys.modules["jax"].devices()
    except Exception as error:  # of whatever kind a plugin raises
        return error
    return None


def _lower(command: Any) -> str:
    """Returns what of a command takes memory, and the options that lower it."""
    settings, scoring = (getattr(command, name, None) for name in ("settings", "scoring"))
    holder = settings or scoring or command
    if not hasattr(holder, "batch_size"):
        return "end other programs, or take a computer with more"
    text = f"--batch-size is {holder.batch_size}: lower it"
    if settings is not None:
        now = f"{settings.data.seconds:g} s" if settings.data.seconds else "by default"
        text += f"; or lower --seconds, the window ({settings.data.window}, {now}); or give --data-on host"
    if hasattr(command, "at_once"):
        text += ", or --at-once 1"
    return text


def _first_line(error: BaseException) -> str:
    """Returns the kind of an error and the first line of what it says, shortened."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
