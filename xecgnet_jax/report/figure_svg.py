"""A matplotlib figure → an SVG that takes its colors and its font from the page it stands in."""

from __future__ import annotations

import io
import re
from xml.etree.ElementTree import Element, fromstring, tostring

import matplotlib
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

#: Decorator of the functions that draw and save figures.
page_settings = matplotlib.rc_context(SETTINGS)  # type: ignore[arg-type]


def new_figure(width: float, height: float) -> Figure:
    """Returns a figure of that many CSS pixels; one point of matplotlib is one pixel."""
    return Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")


def figure_svg(figure: Figure, key: str, title: str) -> str:
    """Returns the figure as inline SVG, without namespaces, metadata, and the style sheet that would change the page.

    Args:
      figure: from `new_figure`, drawn under `page_settings` and in the colors of `INKS`.
      key: begins the ids: letters, another for each figure of a page.
      title: what a screen reader says of it.
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
