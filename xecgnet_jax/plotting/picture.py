"""A recording as on paper, with the network's maps on the same time axis → one SVG."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

import numpy as np

from xecgnet_jax.data.leads import LEADS, RATE
from xecgnet_jax.plotting import paper
from xecgnet_jax.plotting.maps import check_maps, draw_shade, draw_strips, draw_unseen, write_shade_key
from xecgnet_jax.plotting.paper import FINEST, MM_PER_MV, MM_PER_S, TOLERANCE, grid_end
from xecgnet_jax.plotting.svg import MARGIN, clean, element, fill, number, write_lines
from xecgnet_jax.plotting.verdicts import Verdict, judge_classes, verdict_sentence

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
    2.5 s each as in the usual 3 × 4 print. docs/pictures.md tells how to read it.

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
      likes, in an HTML page. Colors follow the page's CSS properties --ecg-INK, of `svg.INKS`, where it sets them.

    Raises:
      ValueError: shapes do not fit each other, a number is not finite, edges are not ascending or outside the
        recording, the rate is not positive, the tolerance below 0.03 mm, or `truth` names what is not in `classes`.
    """
    with np.errstate(over="ignore"):  # What float32 cannot hold is refused below.
        signal = np.asarray(signal, np.float32)
    _check_signal(signal, rate, tolerance)
    if maps is not None:
        check_maps(maps, len(signal), len(classes))
    probabilities = None if probabilities is None else np.asarray(probabilities)
    verdicts = judge_classes(classes, probabilities, np.asarray(thresholds, np.float64), truth)
    sentence = verdict_sentence(verdicts, predictions=probabilities is not None, truth=truth)
    width = max(NARROWEST, LEFT + grid_end(len(signal) / rate * MM_PER_S) + RIGHT)

    name = clean(title) or "12-lead ECG"
    svg = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-label": f"{name}. {sentence}"})
    element(svg, "title", name)
    element(svg, "rect", width="100%", height="100%", **fill("paper"))
    page = element(svg, "g", font_family="Helvetica,Arial,sans-serif", **fill("text"))
    column = min(width, _TEXT_WIDTH)
    y = write_lines(page, [clean(title)], MARGIN, size=4.0, width=column, font_weight="bold")
    y = write_lines(page, [sentence], y, size=3.2, width=column)
    y = write_lines(page, map(clean, notes), y, size=2.8, width=column) + 2
    body = element(page, "g", transform=f"translate({number(LEFT)} {number(y)})")
    depth, remarks = _draw_body(body, signal, rate, maps, verdicts, tolerance)
    y += depth + 2
    if maps is not None and maps.attention is not None:
        y = write_shade_key(page, np.asarray(maps.attention), y, column)
    remarks += [f"25 mm/s · 10 mm/mV · {rate:g} Hz · {len(signal) / rate:.1f} s · each lead about its median"]
    y = write_lines(page, remarks, y, size=2.6, width=column) + MARGIN
    svg.set("width", f"{number(width)}mm")
    svg.set("height", f"{number(y)}mm")
    svg.set("viewBox", f"0 0 {number(width)} {number(y)}")
    return tostring(svg, encoding="unicode")


def _check_signal(signal: np.ndarray, rate: float, tolerance: float) -> None:
    if signal.ndim != 2 or signal.shape[1] != len(LEADS) or not len(signal):
        raise ValueError(f"a signal must be [T, {len(LEADS)}] with T > 0, and is {list(signal.shape)}")
    if not np.isfinite(signal).all():
        raise ValueError("a signal's samples must be finite numbers: what has no value cannot be drawn")
    if not (np.isfinite(rate) and rate > 0):
        raise ValueError(f"the rate must be a positive number of Hz, and is {rate}")
    if not tolerance >= FINEST:
        raise ValueError(f"the tolerance must be at least {FINEST} mm, and is {tolerance}")


def _draw_body(
    body: Element, signal: np.ndarray, rate: float, maps: Maps | None, verdicts: Sequence[Verdict], tolerance: float
) -> tuple[float, list[str]]:
    """Draws all that has the time axis. Returns its depth in mm, and the remarks to write beneath."""
    heights = signal.astype(np.float64)
    heights = MM_PER_MV * (heights - np.median(heights, axis=0))
    rows = paper.place_rows(heights, rate)
    end = len(signal) / rate * MM_PER_S
    samples = np.array([0, len(signal)] if maps is None else maps.edges)
    edges = samples * (MM_PER_S / rate)
    # Compared in samples: rounded to mm, the last edge may lie before the end where both are the same sample.
    unseen = [(0.0, float(edges[0]))] * bool(samples[0] > 0)
    unseen += [(float(edges[-1]), end)] * bool(samples[-1] < len(signal))

    if maps is not None and maps.attention is not None:
        draw_shade(body, maps, edges, verdicts, rows.height)
    paper.draw_grid(body, rows.height, end)
    draw_unseen(body, unseen, 0, rows.height)
    paper.draw_names(body, end, rows)  # Before the traces, which they must not hide.
    paper.draw_traces(body, heights, rate, rows, tolerance)
    cut = paper.draw_cuts(body, heights, rate, rows)
    paper.draw_seconds(body, end, rows.height)
    depth, scales = rows.height + 7.0, list[str]()
    if maps is not None:
        depth, scales = draw_strips(body, maps, verdicts, edges, unseen, depth, end)
    remarks = [f"Strips: {', '.join(scales)}."] * bool(scales)
    if maps is not None:
        widest = int(np.diff(samples).max())
        remarks += [f"One value of a map stands for {widest} samples ({widest / rate:.3g} s)."]
    remarks += ["Hatched: not seen by the network."] * bool(unseen)
    remarks += [f"Cut off where arrowheads are: {', '.join(cut)}."] * bool(cut)
    return depth, remarks
