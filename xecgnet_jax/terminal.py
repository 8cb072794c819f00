"""What is printed: the one place through which text goes to the terminal, or into tables that spreadsheets open.

Names, codes and messages come from files of strangers: nothing of them moves the cursor, forges a line or is computed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: First characters of what spreadsheets compute.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def say(*texts: object, sep: str = " ") -> None:
    """Prints texts on stdout; line breaks stay, other control characters become spaces."""
    print(_lines(sep.join(map(str, texts))))


def warn(*texts: object) -> None:
    """Prints texts on stderr, as `say` does."""
    print(_lines(" ".join(map(str, texts))), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Returns text without what cannot be printed or encoded, on one line."""
    readable = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in readable)


def path_text(path: Path) -> str:
    """Returns a path as text that every encoding has: what is not UTF-8 is lost, line breaks become spaces."""
    return printable(os.fsdecode(path))


def cell(text: str) -> str:
    """Returns text of a file for a CSV table: printable, with an apostrophe before what a spreadsheet would compute."""
    return f"'{printable(text)}" if text.startswith(_FORMULA) else printable(text)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
