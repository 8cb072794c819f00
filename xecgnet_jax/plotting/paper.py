"""The paper and what an electrocardiograph writes on it: rows, grid, calibration, lead names, time."""

from __future__ import annotations

import math
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.plotting.svg import element, fill, halo, number, stroke

#: 25 mm/s and 10 mm/mV: the paper of nearly every electrocardiograph.
MM_PER_S = 25.0
MM_PER_MV = 10.0
#: mm between a sample and the line in height, at most: 15 µV, half of the line's own width. At four times the size the
#: corners can be seen; a third of it shows hardly any and takes half as many bytes again.
TOLERANCE = 0.15
#: The finest tolerance: what whole units of `unit_mm` can do at any rate.
FINEST = 0.03
#: Heights are whole multiples of this many mm, or of the tolerance if that is less.
STEP = 0.1
#: Samples between which a line may run straight, at most, and samples after which it has a point in any case. Both
#: only bound the work.
_REACH = 32
_PIECE = 250
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


def unit_mm(rate: float) -> float:
    """Returns the mm of the unit in which all points are whole numbers: a sample's width, or a whole part of it."""
    return MM_PER_S / rate / math.ceil(RATE / rate)


def trace_paths(heights: np.ndarray, rate: float, tolerance: float) -> list[str]:
    """Returns the path data of L traces, in whole units: the first point, and after `l` the steps from point to point.

    Heights, [T, L] at `rate` Hz, are mm upwards; the straight lines pass every sample within `tolerance` mm in height.
    """
    unit, units_per_sample = unit_mm(rate), math.ceil(RATE / rate)
    quantum = max(1, round(min(STEP, tolerance) / unit))
    exact = -heights.T.astype(np.float64) / unit
    rounded = np.rint(exact / quantum).astype(np.int64) * quantum
    is_point = _choose_points(exact, rounded, tolerance / unit)
    paths = []
    for row, chosen in zip(rounded, is_point, strict=True):
        samples = np.flatnonzero(chosen)
        x, y = (np.diff(samples) * units_per_sample).tolist(), np.diff(row[samples]).tolist()
        # A minus sign separates, too.
        steps = " ".join([f"{dx}{dy}" if dy < 0 else f"{dx} {dy}" for dx, dy in zip(x, y, strict=True)])
        paths.append(f"M0 {row[0]}l{steps}" if steps else f"M0 {row[0]}")
    return paths


def _choose_points(exact: np.ndarray, rounded: np.ndarray, tolerance: float) -> np.ndarray:
    """Returns which samples become points of the line: [L, T] bool for [L, T] heights, exact and as they are drawn.

    From each point the line goes as far as it can: to the last sample for which the straight line to it passes all
    between within the tolerance. All leads are cut into pieces that are walked through at once.
    """
    leads, samples = exact.shape
    flat, ends = exact.ravel(), rounded.ravel().astype(np.float64)
    firsts = np.arange(leads)[:, None] * samples
    starts = np.arange(0, samples - 1, _PIECE)
    at = (firsts + starts).ravel()
    stop = (firsts + np.minimum(starts + _PIECE, samples - 1)).ravel()
    is_point = np.zeros(leads * samples, bool)
    is_point[firsts] = is_point[firsts + samples - 1] = True
    ahead = np.arange(1, _REACH + 1)
    while len(at):
        is_point[at] = True
        beyond = at[:, None] + ahead > stop[:, None]
        there = np.where(beyond, stop[:, None], at[:, None] + ahead)
        here = ends[at][:, None]
        rise = flat[there] - here
        lowest = np.maximum.accumulate((rise - tolerance) / ahead, axis=1)
        highest = np.minimum.accumulate((rise + tolerance) / ahead, axis=1)
        slope = (ends[there] - here) / ahead
        fits = (slope >= lowest) & (slope <= highest) & ~beyond
        at = at + _REACH - np.argmax(fits[:, ::-1], axis=1)
        unfinished = at < stop
        at, stop = at[unfinished], stop[unfinished]
    return is_point.reshape(leads, samples)
