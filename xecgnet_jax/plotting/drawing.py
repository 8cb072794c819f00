"""What every part of a picture is made of: elements, colors, numbers and clean text."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

import numpy as np

#: Name → color where the page sets none. Blue and vermilion are told apart by every kind of color vision (Okabe and
#: Ito, "Color Universal Design", 2008), and the grays that they print as differ.
INKS: dict[str, str] = {
    "paper": "#fff",
    "grid": "#e46a6a",
    "grid-thick": "#e46a6a",
    "trace": "#111",
    "text": "#222",
    "attention": "#0072b2",
    "response": "#d55e00",
    "mark": "#555",
}

#: Width of an average letter of a sans-serif font, in font sizes.
LETTER = 0.55


def fill(ink: str) -> dict[str, str]:
    """Attributes that fill in a color which a page can change by the CSS property --ecg-INK.

    The plain attribute is for programs that know no custom properties; they skip the style.
    """
    return {"fill": INKS[ink], "style": f"fill:var(--ecg-{ink},{INKS[ink]})"}


def stroke(ink: str, width: float) -> dict[str, str]:
    """Attributes of lines of a width in mm, their color as in `fill`."""
    style = f"stroke:var(--ecg-{ink},{INKS[ink]})"
    return {"fill": "none", "stroke": INKS[ink], "stroke-width": number(width), "style": style}


def haloed(ink: str) -> dict[str, str]:
    """Attributes of text with paper around its letters, to be read on lines."""
    around, inner = stroke("paper", 1.0), fill(ink)
    return around | inner | {"style": f"{around['style']};{inner['style']}", "paint-order": "stroke"}


def element(parent: Element, tag: str, text: str | None = None, /, **attributes: object) -> Element:
    """Adds an element. Keyword `stroke_width` is the attribute stroke-width; floats are rounded to 4 decimals."""
    values = {
        name.replace("_", "-"): number(value) if isinstance(value, float | np.floating) else str(value)
        for name, value in attributes.items()
    }
    made = SubElement(parent, tag, values)
    made.text = text
    return made


def number(value: float | np.floating) -> str:
    """A number as short as it goes with 4 decimals: 12.15, not 12.1500."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def clean(text: str, longest: int = 300) -> str:
    """Text from outside on one line, without what XML cannot hold or what upsets the text around it.

    Control characters become spaces; lone surrogates and the two others that XML forbids become the replacement
    character; signs that turn the direction of writing are dropped. Escaping is left to ElementTree.
    """
    words = "".join(_clean_character(character) for character in str(text)).split()
    line = " ".join(words)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _clean_character(character: str) -> str:
    if unicodedata.category(character) == "Cc":
        return " "
    if unicodedata.category(character) == "Cs" or character in "\ufffe\uffff":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if unicodedata.bidirectional(character) in _TURNING else character


_TURNING = frozenset("LRE RLE LRO RLO PDF LRI RLI FSI PDI".split())


def write_lines(
    parent: Element, lines: Iterable[str], y: float, *, size: float, width: float, **style: object
) -> float:
    """Writes lines of text from the left edge, wrapped to `width` mm.

    Returns:
      y in mm below the last of them.
    """
    letters = max(20, int((width - 2 * MARGIN) / (LETTER * size)))
    for line in lines:
        for part in textwrap.wrap(line, letters):
            y += 1.35 * size
            element(parent, "text", part, x=MARGIN, y=y - 0.35 * size, font_size=size, **style)
    return y


#: Of text from the edges of the picture, in mm.
MARGIN = 2.0
