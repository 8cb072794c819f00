"""The forest plot of differences between arms."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xecgnet-jax",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}


@matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type]
def forest(lines: Sequence[tuple[str, float, tuple[float, float]]], margin: float) -> str:
    """Returns an SVG with a line for each (name, points, 95 % interval), the first, the paper's, set off.

    The band is the margin of equivalence.
    """
    figure = Figure(figsize=(7.2, 0.6 + 0.26 * len(lines)), facecolor="white")
    axes = figure.subplots()
    axes.axvspan(-margin, margin, color="#e8e8e8", linewidth=0)
    axes.axvline(0, color="#888", linewidth=0.8)
    for at, (_, points, (low, high)) in enumerate(lines):
        color = "#d55e00" if at == 0 else "#0072b2"
        axes.plot([low, high], [-at, -at], color=color, linewidth=1.6)
        axes.plot([points], [-at], "o", color=color, markersize=4)
    axes.set_yticks([-at for at in range(len(lines))], [name for name, _, _ in lines])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("points of recordings with several classes; gray: too small to matter")
    figure.tight_layout()
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
