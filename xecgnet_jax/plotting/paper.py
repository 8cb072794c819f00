"""The paper and what an electrocardiograph writes on it: rows, grid, calibration, lead names, time."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.plotting.svg import element, fill, halo, number, stroke
from xecgnet_jax.plotting.trace import MM_PER_MV, MM_PER_S, trace_paths, unit_mm

#: mm of paper before time 0, for names and calibration pulses.
LEAD_IN = 20
#: mm between the lines of two neighboring rows, at least and at most.
NEAREST, FARTHEST = 12, 30
#: mV from a row's line beyond which a trace is cut off, at the latest: an artifact shall not make the page meters high.
#: In PTB-XL one recording in fifty goes beyond it.
CUT_MV = 5.0
#: mm: width of the traces.
LINE = 0.3
#: mm for an arrowhead and some paper around it.
_ARROW = 3.0
#: Seconds after which the lead names come again in a recording that does not fit on a screen.
NAMES_EVERY = 10


class Rows(NamedTuple):
    """Where the leads are, all in mm."""

    baselines: np.ndarray  #: [12] int, from the grid's upper edge down to each lead's line.
    height: int  #: of the grid, a multiple of 5.
    lowest: np.ndarray  #: [12] float, from a row's line; between these two its trace is drawn.
    highest: np.ndarray


def place_rows(heights: np.ndarray, rate: float) -> Rows:
    """Places rows as near to each other as their traces, [T, 12] mm at `rate` Hz, allow.

    Traces meet where both are at the same time, so what counts is how far the upper one goes down and the lower one up
    in the same tenth of a second. What is to be cut off gets no room.
    """
    tenths = np.arange(0, len(heights), max(1, round(rate / 10)))
    up = np.maximum.reduceat(heights, tenths, axis=0)
    down = -np.minimum.reduceat(heights, tenths, axis=0)
    farthest = CUT_MV * MM_PER_MV
    beyond = np.maximum(up, down) > farthest
    up, down = np.where(beyond, 0, up), np.where(beyond, 0, down)
    needed = np.ceil((down[:, :-1] + up[:, 1:]).max(axis=0)) + 2
    baselines = np.concatenate([[0], np.cumsum(np.clip(needed, NEAREST, FARTHEST))]).astype(int)
    above = max(MM_PER_MV, (up.max(axis=0) - baselines).max())
    below = max(5, (down.max(axis=0) + baselines).max() - baselines[-1])
    baselines += math.ceil(above + _ARROW)
    height = grid_end(baselines[-1] + below + _ARROW)
    lowest = np.maximum(-farthest, baselines - height + _ARROW)
    return Rows(baselines, height, lowest, np.minimum(farthest, baselines - _ARROW))


def grid_end(end: float) -> int:
    """Returns the mm of the first thick line at or after `end`."""
    return 5 * math.ceil(end / 5 - 1e-9)


def draw_grid(parent: Element, height: int, end: float) -> None:
    """Draws lines every 1 mm, and thicker ones every 5 mm, of which one is time 0. What is behind shows through."""
    width = LEAD_IN + grid_end(end)
    grid = element(parent, "g", pointer_events="none", transform=f"translate(-{LEAD_IN} 0)")
    for ink, apart, thickness, opacity in (("grid", 1, 0.1, 0.4), ("grid-thick", 5, 0.2, 0.7)):
        upright = f"v{height}m{apart}-{height}" * (width // apart) + f"v{height}"
        level = f"h{width}m-{width} {apart}" * (height // apart) + f"h{width}"
        element(grid, "path", d=f"M0 0{upright}M0 0{level}", stroke_opacity=opacity, **stroke(ink, thickness))


def draw_names(parent: Element, end: float, rows: Rows) -> None:
    """Writes lead names before their rows, and again every 10 seconds with paper around them."""
    places = [-18.0, *np.arange(NAMES_EVERY * MM_PER_S, end - 50, NAMES_EVERY * MM_PER_S) + 1]
    names = element(parent, "g", font_size=3.2, font_weight="bold", **halo("text"))
    for lead, y in zip(LEADS, rows.baselines, strict=True):
        for x in places:
            element(names, "text", lead, x=x, y=y - 2.5)


def draw_traces(parent: Element, heights: np.ndarray, rate: float, rows: Rows, tolerance: float) -> None:
    """Draws the traces (`data-lead` names them), and a pulse of 1 mV over 0.2 s before each."""
    scale = unit_mm(rate)
    # The lines' width is given in the traces' own unit.
    group = element(parent, "g", pointer_events="none", stroke_linejoin="round", **stroke("trace", LINE / scale))
    paths = trace_paths(np.clip(heights, rows.lowest, rows.highest), rate, tolerance)
    for lead, y, path in zip(LEADS, rows.baselines, paths, strict=True):
        element(group, "path", data_lead=lead, transform=f"translate(0 {y})scale({scale:.9g})", d=path)
    pulses = "".join(f"M-11 {y}h1v-{MM_PER_MV:g}h{MM_PER_S / 5:g}v{MM_PER_MV:g}h1" for y in rows.baselines)
    element(parent, "path", pointer_events="none", data_part="calibration", d=pulses, **stroke("trace", LINE))


def draw_cuts(parent: Element, heights: np.ndarray, rate: float, rows: Rows) -> list[str]:
    """Draws arrowheads where traces, [T, 12] mm, are cut off, one for all that happens within 0.2 s.

    Returns, for each lead and side that is cut off, the value furthest out as text.
    """
    cut = []
    for lead, y, values, *bounds in zip(LEADS, rows.baselines, heights.T, rows.highest, rows.lowest, strict=True):
        for sign, bound in zip((1, -1), bounds, strict=True):
            beyond = np.flatnonzero(sign * values > sign * bound)
            if not len(beyond):
                continue
            farthest = sign * (sign * values).max() / MM_PER_MV
            cut.append(f"{lead} {farthest:+.1f} mV".replace("-", "\N{MINUS SIGN}"))
            tip = number(y - bound - 2 * sign)
            first = beyond[np.diff(beyond, prepend=-rate) > rate / 5] * (MM_PER_S / rate)
            arrows = "".join(f"M{number(x)} {tip}l-1.2 {2 * sign}h2.4z" for x in first)
            element(parent, "path", data_cut=lead, pointer_events="none", d=arrows, **fill("trace"))
    return cut


def draw_seconds(parent: Element, end: float, y: float) -> None:
    """Draws a time axis: a tick and a number at each second."""
    seconds = range(int(end / MM_PER_S + 1e-9) + 1)
    element(parent, "path", d="".join(f"M{number(t * MM_PER_S)} {y:g}v1.5" for t in seconds), **stroke("text", 0.2))
    for t in seconds:
        element(parent, "text", str(t) if t else "0 s", x=t * MM_PER_S, y=y + 4.2, font_size=2.6, text_anchor="middle")
