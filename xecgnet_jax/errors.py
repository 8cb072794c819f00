"""Errors that a user can act on. Scripts print their message as one line and exit with status 2."""

from __future__ import annotations

from collections.abc import Sequence

#: Characters of a message that are shown: what a file names may be long. Its end says what to do.
LONGEST_MESSAGE, END = 2000, 400


class XECGNetError(Exception):
    """Base of every error that this package raises about what a user gave it.

    The message names the file or setting, what is wrong with it, and what to do.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - END - 3]} … {text[-END:]}"


class ConfigError(XECGNetError):
    """A setting that is unknown, impossible, or in conflict with another."""


class RecordError(XECGNetError):
    """A recording that cannot be read without guessing."""


class CorpusError(XECGNetError):
    """A folder that is no corpus this package knows, or whose tables contradict its files."""


class PackError(XECGNetError):
    """A pack that cannot be made, or that is damaged."""


class SplitError(XECGNetError):
    """A split that does not fit its corpus, or that puts one patient into two parts."""


class CheckpointError(XECGNetError):
    """A working directory or checkpoint that is missing, damaged, or of another configuration."""


class ExportError(XECGNetError):
    """A file that cannot be exported as asked, or that does not give what the checkpoint gives."""


class DivergedError(XECGNetError):
    """A run whose loss is no longer a finite number."""


class StoppedError(XECGNetError):
    """A run that was asked to stop (Ctrl-C or SIGTERM) and has saved where it is."""


def first_few(items: Sequence[object], most: int = 5) -> str:
    """Returns the first items as text for a message, with "…" behind them where there are more than `most`."""
    return ", ".join(map(str, items[:most])) + (", …" if len(items) > most else "")


def shorten(text: str, most: int = 40) -> str:
    """Returns a text of a file for a message, in quotes and not long."""
    return repr(text if len(text) <= most else text[:most] + "…")
