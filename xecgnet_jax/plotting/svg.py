"""SVG elements, their colors and numbers, and text that any picture can hold."""

from __future__ import annotations

import re
import textwrap
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
#: mm between text and the edges of the picture.
MARGIN = 2.0
#: Characters → what is written instead: control characters; lone surrogates and the two others that XML forbids; signs
#: that turn the direction of writing and so would upset the text around.
_REPLACEMENTS = (
    (re.compile(r"[\x00-\x1f\x7f-\x9f]"), " "),
    (re.compile(r"[\ud800-\udfff\ufffe\uffff]"), "\N{REPLACEMENT CHARACTER}"),
    (re.compile(r"[\u202a-\u202e\u2066-\u2069]"), ""),
)


def fill(ink: str) -> dict[str, str]:
    """Returns attributes that fill in a color which a page can change by the CSS property --ecg-INK.

    The plain attribute is for programs that know no custom properties; they skip the style.
    """
    return {"fill": INKS[ink], "style": f"fill:var(--ecg-{ink},{INKS[ink]})"}


def stroke(ink: str, width: float) -> dict[str, str]:
    """Returns attributes of lines of a width in mm, their color as in `fill`."""
    style = f"stroke:var(--ecg-{ink},{INKS[ink]})"
    return {"fill": "none", "stroke": INKS[ink], "stroke-width": number(width), "style": style}


def halo(ink: str) -> dict[str, str]:
    """Returns attributes of text with paper around its letters, so that it can be read on lines."""
    around, inner = stroke("paper", 1.0), fill(ink)
    return around | inner | {"style": f"{around['style']};{inner['style']}", "paint-order": "stroke"}


def element(parent: Element, tag: str, text: str | None = None, /, **attributes: object) -> Element:
    """Adds an element. Keyword `stroke_width` is the attribute stroke-width; floats are rounded to 4 decimals."""
    values = {
        name.replace("_", "-"): number(value) if isinstance(value, float | np.floating) else str(value)
        for name, value in attributes.items()
    }
    child = SubElement(parent, tag, values)
    child.text = text
    return child


def number(value: float | np.floating) -> str:
    """Returns a number with at most 4 decimals, as short as it goes: 12.15, not 12.1500."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def clean(text: str, longest: int = 300) -> str:
    """Returns any text on one line, without what XML cannot hold. ElementTree does the escaping."""
    for characters, replacement in _REPLACEMENTS:
        text = characters.sub(replacement, text)
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def write_lines(
    parent: Element, lines: Iterable[str], y: float, *, size: float, width: float, **style: object
) -> float:
    """Writes lines of text from the left edge, wrapped to `width` mm, and returns the y in mm below the last."""
    letters = max(20, int((width - 2 * MARGIN) / (LETTER * size)))
    for text in (wrapped for line in lines for wrapped in textwrap.wrap(line, letters)):
        y += 1.35 * size
        element(parent, "text", text, x=MARGIN, y=y - 0.35 * size, font_size=size, **style)
    return y
