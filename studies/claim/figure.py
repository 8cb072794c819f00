"""The pictures of docs/claim.md: differences between arms, and what the term does while a network trains."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    return _as_svg(figure)


@matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type]
def courses(panels: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Returns an SVG with one panel for each title → {name of a line → its values by epoch}, the first at epoch 1.

    All panels have the same lines, which a legend below them names.
    """
    figure = Figure(figsize=(7.2, 2.5), facecolor="white")
    for axes, (title, lines) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(lines)))
        for color, (name, values) in zip(colors, lines.items(), strict=True):
            axes.plot(range(1, len(values) + 1), values, color=color, linewidth=1.4, label=name)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.spines["left"].set_visible(True)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(lines), frameon=False)
    return _as_svg(figure)


def _as_svg(figure: Figure) -> str:
    """Returns the same text for the same figure, as far as Matplotlib, whose version it tells, is the same."""
    figure.set_layout_engine("constrained")
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
