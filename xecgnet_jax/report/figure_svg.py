"""A matplotlib figure → an SVG that takes its colors and its font from the page it stands in."""

from __future__ import annotations

import io
import re
from xml.etree.ElementTree import Element, fromstring, tostring

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

#: Color in matplotlib → CSS property of the page. What is drawn in none of them would not change with the theme.
INKS = {
    "#010101": "--ink",
    "#020202": "--muted",
    "#030303": "--rule",
    "#040404": "--chart-1",
    "#050505": "--chart-2",
    "#060606": "--chart-3",
    "#070707": "--chart-4",
}
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


def new_figure(width: float, height: float) -> Figure:
    """A figure of that many CSS pixels; one point of matplotlib is one pixel."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
    FigureCanvasSVG(figure)
    return figure


def figure_svg(figure: Figure, key: str, title: str) -> str:
    """The figure as inline SVG.

    Args:
      figure: from `new_figure`, drawn with `SETTINGS` and in the colors of `INKS`.
      key: begins the ids: letters, another for each figure of a page.
      title: what a screen reader says of it.
    """
    file = io.BytesIO()
    with matplotlib.rc_context(SETTINGS):  # type: ignore[arg-type]
        figure.savefig(file, format="svg", facecolor="none", metadata={"Date": None})
    root = _stripped(fromstring(file.getvalue()))
    text = tostring(root, encoding="unicode")
    used = set(re.findall(r"(?:url\(|\")#([\w-]+)", text))
    for node in root.iter():
        _take_page_style(node)
        if "d" in node.attrib:
            node.attrib["d"] = re.sub(r"(\.\d\d)\d+", r"\1", node.attrib["d"]).replace("  ", "").strip()
        if "id" in node.attrib and node.attrib["id"] not in used:
            del node.attrib["id"]
    svg = Element(
        "svg",
        {
            "role": "img",
            "aria-label": title,
            "viewBox": root.attrib["viewBox"],
            "width": root.attrib["width"].removesuffix("pt"),
            "height": root.attrib["height"].removesuffix("pt"),
        },
    )
    svg.extend(list(root))
    text = tostring(svg, encoding="unicode")
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{key}-", text)


def _stripped(root: Element) -> Element:
    """Without namespaces, metadata and the style sheet, which inside a page would hold for all of it."""
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.attrib = {name.rpartition("}")[2]: value for name, value in node.attrib.items()}
        node.text = None if node.text is not None and not node.text.strip() else node.text
        node.tail = None
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
    return root


def _take_page_style(node: Element) -> None:
    """Colors by their CSS property, text in the page's font."""
    style = node.attrib.get("style")
    if style is None:
        return
    style = re.sub(r"font: (?:[\w]+ )*?([\d.]+)px [^;]*", r"font-size: \1px", style)
    style = re.sub(r"font-family: [^;]*;? ?", "", style)
    node.attrib["style"] = (
        re.sub(r"#[0-9a-f]{6}", lambda found: f"var({INKS[found[0]]})" if found[0] in INKS else found[0], style)
        .replace(": ", ":")
        .replace("; ", ";")
    )
