"""Maps on the time axis of the traces: a shade behind them, strips beneath them, and what was not seen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import numpy as np

from xecgnet_jax.plotting.paper import MM_PER_S
from xecgnet_jax.plotting.svg import MARGIN, clean, element, fill, halo, number, stroke, write_lines
from xecgnet_jax.plotting.verdicts import Verdict

if TYPE_CHECKING:  # A picture needs no JAX.
    from xecgnet_jax.evaluation.inference import Maps

#: mm: of a strip, and from one strip to the next.
STRIP_HEIGHT, STRIP_STEP = 8.0, 10.5
#: Opacity of the highest attention.
DARKEST = 0.5
#: An attention map whose values differ by less is not shaded: its contrast would be made up.
FLAT = 0.001
#: mm between the lines over what was not seen.
_HATCH = 5.0


def check_maps(maps: Maps, samples: int, classes: int) -> None:
    """Raises ValueError where maps do not fit each other, or a recording of so many samples."""
    edges = np.asarray(maps.edges)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0 or edges[-1] > samples:
        raise ValueError(
            f"the maps' edges must be two or more ascending samples within 0 … {samples}, and are {edges.tolist()}"
        )
    bins = len(edges) - 1
    for name, values, shape in (("attention", maps.attention, (bins,)), ("responses", maps.responses, (bins, classes))):
        if values is None:
            continue
        values = np.asarray(values)
        if values.shape != shape:
            raise ValueError(f"the maps have {bins} bins: {name} must be {list(shape)}, and is {list(values.shape)}")
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ValueError(f"the maps' {name} must be finite and not negative")
    if maps.attention is not None and np.greater(maps.attention, 1).any():
        raise ValueError("the maps' attention must lie within 0 … 1")


def draw_shade(parent: Element, maps: Maps, edges: np.ndarray, verdicts: Sequence[Verdict], height: float) -> None:
    """Draws the attention map as a rectangle for each bin, exactly as wide as the bin, whose title tells its values.

    Opacity is 0 at the recording's lowest value and `DARKEST` at its highest; 0 if the map is flat.
    """
    attention = np.asarray(maps.attention)
    lowest, highest = float(attention.min()), float(attention.max())
    scale = DARKEST / (highest - lowest) if highest - lowest >= FLAT else 0.0
    shade = element(parent, "g", data_part="attention", shape_rendering="crispEdges", **fill("attention"))
    for at, (left, right) in enumerate(pairwise(edges)):
        opacity = round(scale * (float(attention[at]) - lowest), 2)
        rect = element(shade, "rect", x=left, width=right - left, height=height, fill_opacity=opacity)
        title = f"{left / MM_PER_S:.2f}–{right / MM_PER_S:.2f} s, attention {attention[at]:.3f}"
        if maps.responses is not None:
            title += "".join(f", {verdict.name} {maps.responses[at, verdict.column]:.3g}" for verdict in verdicts)
        element(rect, "title", title)


def write_shade_key(page: Element, attention: np.ndarray, y: float, width: float) -> float:
    """Writes what the shade of a map, [S], stands for, and returns the mm below it."""
    lowest, highest = float(attention.min()), float(attention.max())
    if highest - lowest < FLAT:
        return write_lines(page, [f"Attention {lowest:.3f} throughout: no shade."], y, size=2.6, width=width)
    key = element(page, "g", **fill("attention"))
    for step in range(5):
        x = MARGIN + 4 * step
        element(key, "rect", x=x, y=y, width=4, height=3, fill_opacity=round(DARKEST * step / 4, 3))
    element(page, "rect", x=MARGIN, y=y, width=20, height=3, **stroke("text", 0.15))
    text = f"attention {lowest:.3f} to {highest:.3f}, the lowest to the highest of this recording"
    element(page, "text", text, x=MARGIN + 22, y=y + 2.4, font_size=2.6)
    return y + 4


def draw_strips(
    parent: Element,
    maps: Maps,
    verdicts: Sequence[Verdict],
    edges: np.ndarray,
    unseen: list[tuple[float, float]],
    y: float,
    end: float,
) -> tuple[float, list[str]]:
    """Draws the attention map, then the response map of each class with a verdict, as strips from y mm down.

    Bars stand between each two of the edges in mm, with label, scale and second marks, and what was not seen over them.

    Returns:
      The mm below the strips, and what their heights stand for.
    """
    strips, scales = [], []
    if maps.attention is not None:
        strips.append(("attention", "", np.asarray(maps.attention), 1.0, "attention"))
        scales.append("attention from 0 to 1")
    if maps.responses is not None and verdicts:
        scales.append("response maps from 0 to the highest value of each")
        for verdict in verdicts:
            values = np.asarray(maps.responses)[:, verdict.column]
            remark = verdict.comparison if values.any() else f"{verdict.comparison} (all 0)".strip()
            heading = f"{clean(verdict.name, 9)} {verdict.word}"
            strips.append((heading, remark, values, float(np.max(values)), "response"))
    for heading, remark, values, top, ink in strips:
        foot = y + STRIP_HEIGHT
        seconds = "".join(f"M{x} {number(y)}v{STRIP_HEIGHT:g}" for x in range(0, int(end) + 1, 25))
        element(parent, "path", d=seconds, **stroke("grid-thick", 0.2))
        bars = "".join(
            f"M{number(left)} {number(foot)}v-{STRIP_HEIGHT * value / top:.2f}H{number(right)}V{number(foot)}z"
            for (left, right), value in zip(pairwise(edges), values, strict=True)
            if value > 0
        )
        element(parent, "path", data_strip=heading, shape_rendering="crispEdges", d=bars, **fill(ink))
        element(parent, "path", d=f"M0 {number(y)}v{STRIP_HEIGHT:g}H{number(end)}", **stroke("text", 0.2))
        size = min(2.8, 34 / len(heading))  # A long heading would run into the scale.
        element(parent, "text", heading, x=-28, y=y + 3.2, font_size=size, font_weight="bold")
        if remark:
            element(parent, "text", remark, x=-28, y=y + 6.7, font_size=2.5)
        for value, place in {f"{top:.3g}": y + 1.9, "0": foot}.items():  # One 0 if nothing is above.
            element(parent, "text", value, x=-0.8, y=place, font_size=2.1, text_anchor="end")
        draw_unseen(parent, unseen, y, STRIP_HEIGHT)
        y += STRIP_STEP
    return y, scales


def draw_unseen(parent: Element, spans: list[tuple[float, float]], y: float, height: float) -> None:
    """Draws slanting lines over times (mm from, to) that no bin stands for."""
    for left, right in spans:
        width = right - left
        lines = [f"M{number(left)} {number(y)}h{number(width)}v{number(height)}h-{number(width)}z"]
        for c in np.arange(_HATCH, width + height, _HATCH):
            start, stop = (min(c, width), max(c - width, 0.0)), (max(c - height, 0.0), min(c, height))
            ends = (left + start[0], y + start[1], left + stop[0], y + stop[1])
            lines.append("M{} {}L{} {}".format(*map(number, ends)))
        element(parent, "path", data_part="unseen", pointer_events="none", d="".join(lines), **stroke("mark", 0.15))
        if width > 20 and height > 20:
            style = halo("text") | {"font-style": "italic"}
            element(parent, "text", "not seen", x=left + 2, y=y + 4, font_size=3.2, **style)
