"""Maps on the time axis of the traces: a shade behind them, strips beneath them, and what was not seen."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from xecgnet_jax.plotting.drawing import element, fill, haloed, number, stroke

#: mm: of a strip, and from one strip to the next.
STRIP_HEIGHT, STRIP_STEP = 8.0, 10.5
#: Opacity of the highest attention.
DARKEST = 0.5
#: An attention map whose values differ by less is not shaded: its contrast would be made up.
FLAT = 0.001
#: mm between the lines over what was not seen.
_HATCH = 5.0


class Strip(NamedTuple):
    """One map under the traces.

    Attributes:
      heading, remark: first and second line of its label.
      values: [S].
      top: the value that fills the strip's height; its lower edge is 0.
    """

    heading: str
    remark: str
    values: np.ndarray
    top: float


def shades(attention: np.ndarray) -> np.ndarray:
    """[S] attention → [S] opacities: 0 at the recording's lowest value, `DARKEST` at its highest, 0 if it is flat."""
    lowest, highest = float(attention.min()), float(attention.max())
    if highest - lowest < FLAT:
        return np.zeros(len(attention))
    return DARKEST * (attention.astype(np.float64) - lowest) / (highest - lowest)


def draw_bands(parent: Element, edges: np.ndarray, opacities: np.ndarray, height: float, tips: list[str]) -> None:
    """A rectangle for each bin, exactly as wide as the bin; pointing at it shows its tip.

    Args:
      parent: the element to draw in.
      edges: [S + 1] mm.
      opacities: [S].
      height: mm.
      tips: S texts.
    """
    bands = element(parent, "g", data_part="attention", shape_rendering="crispEdges", **fill("attention"))
    for left, right, opacity, tip in zip(edges[:-1], edges[1:], opacities, tips, strict=True):
        band = element(bands, "rect", x=left, width=right - left, height=height, fill_opacity=round(opacity, 2))
        element(band, "title", tip)


def draw_strip(parent: Element, strip: Strip, edges: np.ndarray, y: float, end: float, ink: str) -> None:
    """Bars from 0 up, one a bin, with label, scale and second marks.

    Args:
      parent: the element to draw in.
      strip: what to draw.
      edges: [S + 1] mm.
      y: mm of the strip's upper edge.
      end: mm where the recording ends.
      ink: color of the bars.
    """
    foot = y + STRIP_HEIGHT
    seconds = "".join(f"M{x} {number(y)}v{STRIP_HEIGHT:g}" for x in range(0, int(end) + 1, 25))
    element(parent, "path", d=seconds, **stroke("grid-thick", 0.2))
    bars = "".join(
        f"M{number(left)} {number(foot)}v-{STRIP_HEIGHT * value / strip.top:.2f}H{number(right)}V{number(foot)}z"
        for left, right, value in zip(edges[:-1], edges[1:], strip.values, strict=True)
        if value > 0
    )
    element(parent, "path", data_strip=strip.heading, shape_rendering="crispEdges", d=bars, **fill(ink))
    element(parent, "path", d=f"M0 {number(y)}v{STRIP_HEIGHT:g}H{number(end)}", **stroke("text", 0.2))
    element(parent, "text", strip.heading, x=-28, y=y + 3.2, font_size=2.8, font_weight="bold")
    if strip.remark:
        element(parent, "text", strip.remark, x=-28, y=y + 6.7, font_size=2.5)
    for value, place in {f"{strip.top:.3g}": y + 1.9, "0": foot}.items():  # One 0 if nothing is above.
        element(parent, "text", value, x=-0.8, y=place, font_size=2.1, text_anchor="end")


def draw_unseen(parent: Element, spans: list[tuple[float, float]], y: float, height: float) -> None:
    """Slanting lines over times (mm from, to) that no bin stands for."""
    for left, right in spans:
        width = right - left
        lines = [f"M{number(left)} {number(y)}h{number(width)}v{number(height)}h-{number(width)}z"]
        for c in np.arange(_HATCH, width + height, _HATCH):
            start, stop = (min(c, width), max(c - width, 0.0)), (max(c - height, 0.0), min(c, height))
            lines.append(
                f"M{number(left + start[0])} {number(y + start[1])}L{number(left + stop[0])} {number(y + stop[1])}"
            )
        element(parent, "path", data_part="unseen", pointer_events="none", d="".join(lines), **stroke("mark", 0.15))
        if width > 20 and height > 20:
            element(
                parent, "text", "not seen", x=left + 2, y=y + 4, font_size=3.2, font_style="italic", **haloed("text")
            )


def draw_scale(parent: Element, x: float, y: float) -> float:
    """Five steps of the shade, 4 mm each. Returns the mm where they end."""
    for step, share in enumerate(np.linspace(0, 1, 5)):
        element(
            parent, "rect", x=x + 4 * step, y=y, width=4, height=3, fill_opacity=round(DARKEST * share, 3),
            **fill("attention"),
        )  # fmt: skip
    element(parent, "rect", x=x, y=y, width=20, height=3, **stroke("text", 0.15))
    return x + 20
