"""What the XML formats of hospitals share: the name of the root element, a bound, and texts that are there once."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from xecgnet_jax.errors import RecordError

#: Most tags, and most attributes, of a file: parsers take a microsecond for each, and ECGs have a few thousand.
MOST = 200_000
#: What may stand before the root element. Atomic, so that text which is no XML takes one pass.
_BEFORE = r"(?>(?:\s|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^<>\[]*(?:\[.*?\]\s*)?>)*)"
_ROOT = re.compile(r"(?:\ufeff|\xef\xbb\xbf)?" + _BEFORE + r"<(?:[\w.-]{1,40}:)?([\w.-]{1,40})[\s/>]", re.DOTALL)


def root_name(head: bytes) -> str:
    """Returns the name of the root element of a file that begins with `head`, "" where it is no XML."""
    if b"<" not in head[:64]:
        return ""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        encoding = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}.get(head[:2], "latin-1")
    found = _ROOT.match(head.decode(encoding, "ignore"))
    return found[1] if found else ""


def check_tags(path: Path, kind: str) -> None:
    """Looks at a file before it is parsed.

    Raises:
      RecordError: it has more than `MOST` tags or attributes.
    """
    content = path.read_bytes()
    if content.count(b"<") > MOST or content.count(b"=") > MOST:
        raise RecordError(f"{path}: it has more than {MOST:,} tags or attributes, and cannot be one ECG in {kind}.")


def texts(path: Path, element: Element, names: frozenset[str]) -> dict[str, str]:
    """Returns lower-case name → text of those children of an element that are in `names` (lower case).

    Raises:
      RecordError: one is there more than once, so that which is meant is unknown.
    """
    found: dict[str, str] = {}
    for child in element:
        name = child.tag.lower()
        if name in names:
            if name in found:
                raise RecordError(f"{path}: {child.tag} is there twice where one is meant. Export it anew.")
            found[name] = " ".join("".join(child.itertext()).split())
    return found
