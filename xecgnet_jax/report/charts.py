"""The charts of a report: matplotlib figures as inline SVG that takes colors and font from the page it stands in."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import isotonic_regression
from sklearn.metrics import precision_recall_curve

#: Color in matplotlib → CSS property of the page. What is drawn in none of them would not change with the theme.
_PROPERTIES = ("--ink", "--muted", "--rule", "--chart-1", "--chart-2", "--chart-3", "--chart-4")
INKS = {f"#{at:02}{at:02}{at:02}": name for at, name in enumerate(_PROPERTIES, 1)}
INK, MUTED, RULE, *SERIES = INKS

#: Text stays text, $ is no formula, ids do not change from run to run, lines lose the points that cannot be seen.
SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "xecgnet-jax",
    "text.parse_math": False,
    "path.simplify": True,
    "path.simplify_threshold": 0.25,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.color": RULE,
    "ytick.labelcolor": MUTED,
    "lines.solid_capstyle": "butt",
}

#: Decorator of the functions that draw and save figures.
page_settings = matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type]

#: Chart → key in metrics.jsonl → what the curve is called.
TRAINING = {
    "losses": {
        "loss": "loss",
        "perception_loss": "perception head",
        "attention_loss": "attention head",
        "alignment": "alignment",
    },
    "validation": {
        "validation_micro_f1": "micro F1",
        "validation_macro_f1": "macro F1",
        "validation_subset_accuracy": "subset accuracy",
        "validation_multi_label_subset_accuracy": "… several classes",
    },
}
_BROKEN = (0, (3, 3))
#: Text stands a few pixels from its point, whose height is a share of the axes'.
_BESIDE: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}


@page_settings
def precision_recall_charts(
    labels: np.ndarray, probabilities: np.ndarray, per_class: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Draws a precision–recall curve for each class that has positives and negatives.

    Steps, because the average precision is the area under the steps; a dot at the threshold; a broken line at the share
    of recordings that have the class: what a guess gives.

    Labels [R, C] are bool, probabilities [R, C], `per_class` is of the metrics. Returns class → SVG.
    """
    charts = {}
    for column, (name, row) in enumerate(per_class.items()):
        truth = labels[:, column]
        if not truth.any() or truth.all():
            continue
        precision, recall, _ = precision_recall_curve(truth, probabilities[:, column])
        figure = new_figure(230, 176)
        axes = _add_unit_square(figure, (0.15, 0.185, 0.81, 0.765), "recall", "precision")
        axes.axhline(truth.mean(), color=MUTED, linewidth=1, linestyle=_BROKEN)
        axes.plot(recall, precision, color=SERIES[0], linewidth=1.75, drawstyle="steps-post", clip_on=False)
        if row["recall"] is not None and row["precision"] is not None:
            axes.plot(row["recall"], row["precision"], "o", color=INK, markersize=6, clip_on=False)
        charts[name] = figure_svg(figure, f"pr{column}", f"Precision against recall of {name}")
    return charts


@page_settings
def reliability_chart(bins: Sequence[Mapping[str, Any]], calibrated: Sequence[Mapping[str, Any]] = ()) -> str:
    """Draws the share of true labels against the mean probability, a point for each non-empty bin of the metrics.

    Those of calibrated probabilities, where there are some, are squares on a second line.
    """
    bins = [row for row in bins if row["pairs"]]
    figure = new_figure(400, 320)
    axes = _add_unit_square(figure, (0.08, 0.09, 0.88, 0.82), "predicted probability", "share that has the class")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=_BROKEN)
    points = [row["probability"] for row in bins], [row["true"] for row in bins]
    axes.plot(*points, color=SERIES[0], linewidth=1.75, marker="o", markersize=6, clip_on=False)
    if after := [row for row in calibrated if row["pairs"]]:
        points = [row["probability"] for row in after], [row["true"] for row in after]
        axes.plot(*points, color=SERIES[1], linewidth=1.75, marker="s", markersize=5, clip_on=False)
    # Means of neighboring bins that are nearly empty may be close: counts stand at the middles of the bins.
    for row in bins:
        count, middle = row["pairs"], (row["from"] + row["to"]) / 2
        text = f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f}k"
        axes.annotate(text, (middle, 1), (0, 6), **_BESIDE, ha="center", color=MUTED, fontsize=10)
    return figure_svg(figure, "reliability", "Reliability: share of true labels against predicted probability")


def marked_epoch(training: Sequence[Mapping[str, Any]], step: int | None) -> int | None:
    """Returns the epoch that ended at `step`; without a step, the first with the highest validation micro F1."""
    if step is not None:
        return next((int(record["epoch"]) for record in training if record["step"] == step), None)
    known = [record for record in training if record.get("validation_micro_f1") is not None]
    return int(max(known, key=lambda record: record["validation_micro_f1"])["epoch"]) if known else None


@page_settings
def training_chart(training: Sequence[Mapping[str, Any]], chart: str, marked: int | None) -> str | None:
    """Draws curves over epochs, each with its name and last value at its end; None where no record has any of them.

    Records are of metrics.jsonl, the chart is "losses" or "validation" (`TRAINING`), `marked` the epoch to mark.
    """
    # None becomes NaN.
    curves = {name: np.array([one.get(key) for one in training], float) for key, name in TRAINING[chart].items()}
    curves = {name: values for name, values in curves.items() if np.isfinite(values).any()}
    if not curves:
        return None
    epochs = np.array([record["epoch"] for record in training])
    figure = new_figure(540, 270)
    axes = figure.add_axes((0.075, 0.13, 0.66, 0.79))
    axes.grid(axis="y", color=RULE, linewidth=0.75)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    for ink, values in zip(SERIES, curves.values(), strict=False):
        axes.plot(epochs, values, color=ink, linewidth=1.75, marker="o" if len(epochs) == 1 else "")
    axes.set(xlim=(epochs[0], max(epochs[-1], epochs[0] + 1)), ylim=(0, 1 if chart == "validation" else None))
    axes.locator_params(axis="x", integer=True, nbins=8)
    axes.set_xlabel("epoch", labelpad=1)
    if marked is not None:
        axes.axvline(marked, color=INK, linewidth=1, linestyle=_BROKEN)
        side, ha = (4, "left") if marked < epochs.mean() else (-4, "right")
        axes.annotate(f"epoch {marked}", (marked, 1), (side, 3), **_BESIDE, ha=ha)
    # Names and last values beside the ends of the curves.
    last = [float(values[np.isfinite(values)][-1]) for values in curves.values()]
    low, high = axes.get_ylim()
    height = figure.get_size_inches()[1] * 72 * axes.get_position().height
    places = spread([(value - low) / (high - low) for value in last], 15 / height)
    for ink, name, value, place in zip(SERIES, curves, last, places, strict=False):
        style = _BESIDE | {"xycoords": "axes fraction", "va": "center", "color": ink, "annotation_clip": False}
        axes.annotate(f"{name} {value:.3f}", (1, place), (7, 0), **style)
    return figure_svg(figure, chart, f"Training, {chart} over epochs: {', '.join(curves)}")


def spread(places: Sequence[float], apart: float) -> np.ndarray:
    """Moves the places as little as it takes to be `apart` from each other, in the same order.

    Isotonic regression of the places less the gaps: neighbors that would overlap form a block about their mean.
    """
    order = np.argsort(places, kind="stable")
    gaps, moved = apart * np.arange(len(order)), np.empty(len(order))
    moved[order] = isotonic_regression(np.asarray(places, float)[order] - gaps).x + gaps
    return moved


def _add_unit_square(figure: Figure, place: tuple[float, float, float, float], xlabel: str, ylabel: str) -> Axes:
    """Returns new axes from 0 to 1 at `place`, left, bottom, width and height as shares of the figure's."""
    axes = figure.add_axes(place)
    axes.set_xlabel(xlabel, labelpad=-9)
    axes.set_ylabel(ylabel, labelpad=-4)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    ticks = (0, 0.25, 0.5, 0.75, 1)
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(ticks, ["0", "", "", "", "1"])
    axes.grid(color=RULE, linewidth=0.75)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def new_figure(width: float, height: float) -> Figure:
    """Returns a figure of that many CSS pixels; one point of matplotlib is one pixel."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")


def figure_svg(figure: Figure, key: str, title: str) -> str:
    """Returns the figure as inline SVG, without namespaces, metadata, and the style sheet that would change the page.

    The figure is from `new_figure`, drawn under `page_settings` and in the colors of `INKS`. Its ids begin with `key`:
    letters, another for each figure of a page. A screen reader says the title.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", facecolor="none", metadata={"Date": None})
    used_ids = set(re.findall(r"(?:url\(|\")#([\w-]+)", file.getvalue()))
    root = fromstring(file.getvalue())
    for node in list(root.iter()):
        for child in list(node):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                node.remove(child)
        node.tag = node.tag.rpartition("}")[2]
        node.text, node.tail = node.text if (node.text or "").strip() else None, None
        node.attrib = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
        if "style" in node.attrib:
            node.set("style", _page_style(node.attrib["style"]))
        if "d" in node.attrib:
            node.set("d", re.sub(r"(\.\d\d)\d+", r"\1", node.attrib["d"]).replace("  ", "").strip())
        if node.get("id") not in used_ids:
            node.attrib.pop("id", None)
    size = {side: root.attrib[side].removesuffix("pt") for side in ("width", "height")}
    svg = Element("svg", {"role": "img", "aria-label": title, "viewBox": root.attrib["viewBox"]} | size)
    svg.extend(list(root))
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{key}-", tostring(svg, encoding="unicode"))


def _page_style(style: str) -> str:
    """Returns a style with its colors by their CSS property and without a font, so that the page's is taken."""
    style = re.sub(r"font: (?:[\w]+ )*?([\d.]+)px [^;]*", r"font-size: \1px", style)
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    style = re.sub(r"#[0-9a-f]{6}", lambda color: f"var({INKS[color[0]]})" if color[0] in INKS else color[0], style)
    return style.replace(": ", ":").replace("; ", ";")
