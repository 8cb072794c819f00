"""A recording as on paper, with the network's maps on the same time axis → one SVG."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

import numpy as np

from xecgnet_jax.data.leads import RATE
from xecgnet_jax.plotting.checks import check_classes, check_maps, check_signal
from xecgnet_jax.plotting.drawing import MARGIN, clean, element, fill, number, write_lines
from xecgnet_jax.plotting.paper import (
    draw_cuts,
    draw_grid,
    draw_names,
    draw_seconds,
    draw_traces,
    grid_end,
    rows_of,
)
from xecgnet_jax.plotting.strips import (
    FLAT,
    STRIP_HEIGHT,
    STRIP_STEP,
    Strip,
    draw_bands,
    draw_scale,
    draw_strip,
    draw_unseen,
    shades,
)
from xecgnet_jax.plotting.trace import MM_PER_MV, MM_PER_S, TOLERANCE
from xecgnet_jax.plotting.verdicts import Verdict, sentence, verdicts

if TYPE_CHECKING:  # A picture needs no JAX.
    from xecgnet_jax.evaluation.inference import Maps

#: mm from the left edge to time 0, from the grid to the right edge, and of the narrowest picture.
LEFT, RIGHT, NARROWEST = 30.0, 5.0, 140.0
#: mm after which a line of text is broken, however long the recording.
_TEXT_WIDTH = 280.0


def ecg_picture(
    signal: np.ndarray,
    *,
    maps: Maps | None,
    classes: Sequence[str],
    probabilities: np.ndarray | None,
    thresholds: np.ndarray | float,
    truth: Collection[str] | None = None,
    title: str = "",
    notes: Sequence[str] = (),
    rate: float = RATE,
    tolerance: float = TOLERANCE,
) -> str:
    """Draws a recording at 25 mm/s and 10 mm/mV with its maps.

    Twelve rows, one lead each: the maps are over all of the recording's time, so each lead is shown over all of it, not
    2.5 s each as in the usual 3 × 4 print. Each lead lies with its median on its row's line. The attention map is a
    shade behind the traces, from the recording's lowest value (none) to its highest; it is a strip beneath, too, from 0
    to 1. Each class that is predicted or true has its response map as a strip, from 0 to the map's highest value.
    Maps are not interpolated. A trace beyond 5 mV, or beyond the paper, is cut off and marked.

    Args:
      signal: [T, 12] mV, leads in the order of `LEADS`.
      maps: of the recording, or None. Time outside its edges is hatched: the network did not see it.
      classes: C names.
      probabilities: [C], or None: then nothing counts as predicted.
      thresholds: [C], or one for all: a class is predicted from this probability on.
      truth: names of the true classes, maybe none; None where they are not known.
      title: above the picture. Any text will do, in `notes` and `classes`, too: what XML cannot hold is replaced.
      notes: lines under the title.
      rate: Hz of `signal` and of the maps' edges.
      tolerance: mm in height between a sample and its trace, at most: 0.15 (15 µV) for a page of many pictures, 0.05
        for one to be looked at closely.

    Returns:
      An `<svg>` element in mm without ids, scripts or links. It may stand alone in a file (UTF-8) or, as often as one
      likes, in an HTML page. Colors follow the page's CSS properties --ecg-paper, --ecg-grid, --ecg-grid-thick,
      --ecg-trace, --ecg-text, --ecg-attention, --ecg-response and --ecg-mark, where it sets them.

    Raises:
      ValueError: shapes do not fit each other, a number is not finite, edges are not ascending or outside the
        recording, the rate is not positive, the tolerance below 0.03 mm, or `truth` names what is not in `classes`.
    """
    with np.errstate(over="ignore"):  # What float32 cannot hold is refused below.
        signal = np.asarray(signal, np.float32)
    thresholds = np.asarray(thresholds, np.float64)
    probabilities = None if probabilities is None else np.asarray(probabilities)
    check_signal(signal, rate, tolerance)
    check_classes(classes, probabilities, thresholds, truth)
    if maps is not None:
        check_maps(maps, len(signal), len(classes))
    thresholds = np.broadcast_to(thresholds, (len(classes),))
    found = verdicts(classes, probabilities, thresholds, truth)
    spoken = sentence(found, predictions=probabilities is not None, truth=truth)
    end = len(signal) / rate * MM_PER_S
    width = max(NARROWEST, LEFT + grid_end(end) + RIGHT)

    name = clean(title) or "12-lead ECG"
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": f"{name}. {spoken}"})
    element(svg, "title", name)
    element(svg, "rect", width="100%", height="100%", **fill("paper"))
    page = element(svg, "g", font_family="Helvetica,Arial,sans-serif", **fill("text"))
    column = min(width, _TEXT_WIDTH)
    y = write_lines(page, [clean(title)], MARGIN, size=4.0, width=column, font_weight="bold")
    y = write_lines(page, [spoken], y, size=3.2, width=column)
    y = write_lines(page, map(clean, notes), y, size=2.8, width=column) + 2
    body = element(page, "g", transform=f"translate({number(LEFT)} {number(y)})")
    depth, remarks = _draw_body(body, signal, rate, maps, found, tolerance)
    y += depth + 2
    if maps is not None and maps.attention is not None:
        y = _write_scale(page, maps.attention, y)
    remarks += [f"25 mm/s · 10 mm/mV · {rate:g} Hz · {len(signal) / rate:.1f} s · each lead about its median"]
    y = write_lines(page, remarks, y, size=2.6, width=column) + MARGIN
    svg.attrib |= {
        "width": f"{number(width)}mm",
        "height": f"{number(y)}mm",
        "viewBox": f"0 0 {number(width)} {number(y)}",
    }
    return tostring(svg, encoding="unicode")


def _draw_body(
    body: Element, signal: np.ndarray, rate: float, maps: Maps | None, found: Sequence[Verdict], tolerance: float
) -> tuple[float, list[str]]:
    """Draws all that has the time axis. Returns its depth in mm, and what is to be remarked beneath."""
    centerd = signal.astype(np.float64)
    centerd -= np.median(centerd, axis=0)
    heights = MM_PER_MV * centerd
    rows = rows_of(heights, rate)
    end = len(signal) / rate * MM_PER_S
    edges = np.zeros(0) if maps is None else np.asarray(maps.edges) * (MM_PER_S / rate)
    unseen = [] if maps is None else [(0.0, float(edges[0])), (float(edges[-1]), end)]
    unseen = [(left, right) for left, right in unseen if right > left]
    strips = [] if maps is None else _strips(maps, found)

    if maps is not None and maps.attention is not None:
        draw_bands(body, edges, shades(maps.attention), rows.height, _tips(edges, maps, found))
    draw_grid(body, rows.height, end)
    draw_unseen(body, unseen, 0, rows.height)
    draw_names(body, end, rows)  # Before the traces, which they must not hide.
    draw_traces(body, np.clip(heights, rows.lowest, rows.highest), rate, rows, tolerance)
    cut = draw_cuts(body, heights, rate, rows)
    draw_seconds(body, end, rows.height)
    depth = rows.height + 7.0
    for ink, strip in strips:
        draw_strip(body, strip, edges, depth, end, ink)
        draw_unseen(body, unseen, depth, STRIP_HEIGHT)
        depth += STRIP_STEP
    scales = {"attention": "attention from 0 to 1", "response": "response maps from 0 to the highest value of each"}
    shown = [text for ink, text in scales.items() if ink in dict(strips)]
    remarks = [f"Strips: {', '.join(shown)}."] * bool(strips)
    remarks += ["Hatched: not seen by the network."] * bool(unseen)
    remarks += [f"Cut off where arrowheads are: {', '.join(cut)}."] * bool(cut)
    return depth, remarks


def _strips(maps: Maps, found: Sequence[Verdict]) -> list[tuple[str, Strip]]:
    """(ink, strip): attention, then the response map of each class of `found`."""
    strips = []
    if maps.attention is not None:
        strips.append(("attention", Strip("attention", "", np.asarray(maps.attention), 1.0)))
    for one in found if maps.responses is not None else ():
        values = np.asarray(maps.responses)[:, one.column]
        remark = one.comparison if values.any() else f"{one.comparison} (all 0)".strip()
        strips.append(("response", Strip(f"{clean(one.name, 9)} {one.word}", remark, values, float(values.max()))))
    return strips


def _tips(edges: np.ndarray, maps: Maps, found: Sequence[Verdict]) -> list[str]:
    """For each bin, its time and its values."""
    tips = []
    for at, (left, right) in enumerate(pairwise((edges / MM_PER_S).tolist())):
        text = f"{left:.2f}–{right:.2f} s"
        if maps.attention is not None:
            text += f", attention {maps.attention[at]:.3f}"
        if maps.responses is not None:
            text += "".join(f", {one.name} {maps.responses[at, one.column]:.3g}" for one in found)
        tips.append(text)
    return tips


def _write_scale(page: Element, attention: np.ndarray, y: float) -> float:
    """What the shade stands for. Returns the mm below it."""
    lowest, highest = float(attention.min()), float(attention.max())
    if highest - lowest < FLAT:
        text = f"Attention {lowest:.3f} throughout: no shade."
        return write_lines(page, [text], y, size=2.6, width=NARROWEST)
    end = draw_scale(page, MARGIN, y)
    text = f"attention {lowest:.3f} to {highest:.3f}, the lowest to the highest of this recording"
    element(page, "text", text, x=end + 2, y=y + 2.4, font_size=2.6)
    return y + 4
