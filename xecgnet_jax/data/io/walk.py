"""One walk through folders of recordings, for all that looks for files: what is gone into, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

#: Why a file or folder is left out.
HIDDEN, TRASH = "hidden", "a folder of deleted or system files"
LINK = "a link to a folder; name it where its recordings are wanted"
#: Folders in which systems keep what was deleted, or what belongs to them.
_TRASH_NAMES = frozenset({"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir"})


def walk_folders(root: Path, left_out: list[tuple[Path, str]]) -> Iterator[tuple[Path, list[Path]]]:
    """Yields each folder from `root` down, and its files, both by name; adds what is left out, and why.

    Hidden files and folders, trash, and links to folders are left out.
    """

    def note(error: OSError) -> None:
        left_out.append((Path(error.filename), f"the folder cannot be read ({error.strerror})"))

    ahead = [os.fspath(root)]
    while ahead:  # `os.walk` itself goes down by recursion, which very deep folders end
        parent, below, names = next(os.walk(ahead.pop(), onerror=note), ("", [], []))
        if not parent:
            continue
        kept = []
        for name in sorted(below):
            path = Path(parent, name)
            # `Path.is_symlink` raises where a path is too long.
            linked = os.path.islink(path)  # noqa: PTH114
            reason = HIDDEN if name.startswith(".") else TRASH if name in _TRASH_NAMES else LINK if linked else ""
            if reason:
                left_out.append((path, reason))
            else:
                kept.append(os.fspath(path))
        ahead += reversed(kept)
        hidden = [name for name in names if name.startswith(".")]
        left_out += [(Path(parent, name), HIDDEN) for name in sorted(hidden)]
        yield Path(parent), [Path(parent, name) for name in sorted(set(names) - set(hidden))]
