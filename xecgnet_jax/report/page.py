"""Contents → one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from xecgnet_jax.report import charts, figures
from xecgnet_jax.report.contents import Contents
from xecgnet_jax.report.gallery import gallery

#: Bytes that a report stays below.
LIMIT = 5_000_000


def report_html(contents: Contents, *, progress: Callable[[int], Any] | None = None) -> str:
    """The report as one HTML page without any reference to another file, smaller than `LIMIT` bytes as UTF-8.

    Recordings are listed, and pictures drawn, as many as fit; the page says how many. Equal contents give equal pages.

    Args:
      contents: of the report.
      progress: called with the number of recordings that were dealt with; the numbers sum up to R.

    Raises:
      ValueError: a recording that cannot be drawn.
    """
    environment = Environment(
        loader=PackageLoader("xecgnet_jax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    parts = {name: _part(name) for name in ("report.css", "dark.css", "report.js")}
    view = _view(contents) | {
        "contents": contents,
        "parts": parts,
        "policy": _policy(parts),
        "listed": len(contents.ids),
        "pictured": len(contents.ids),
        "data": "",
    }
    template = environment.get_template("report.html.j2")
    # Room for what two more counts of recordings take where they differ from each other.
    shown = gallery(contents, LIMIT - 500 - len(template.render(view).encode("utf-8", "replace")), progress)
    html = template.render(view | {"data": shown.data, "listed": shown.listed, "pictured": shown.pictured})
    # Names of files may hold what UTF-8 cannot.
    return html.encode("utf-8", "replace").decode("utf-8")


def _view(contents: Contents) -> dict[str, Any]:
    """What the template shows besides the gallery."""
    metrics = contents.metrics
    marked = charts.marked_epoch(contents.training, contents.step)
    panels = charts.precision_recall_panels(contents.truths, contents.probabilities, metrics["per_class"])
    drawn = {panel.name for panel in panels}
    return {
        "metrics": metrics,
        "exact": figures.exact_figures(metrics),
        "f1": figures.f1_figures(metrics),
        "class_rows": figures.class_rows(contents),
        "average_rows": figures.average_rows(metrics),
        "label_sets": figures.label_set_rows(metrics),
        "thresholds_sentence": figures.thresholds_sentence(contents),
        "intervals_sentence": figures.intervals_sentence(metrics),
        "number": figures.number,
        "figure": figures.figure,
        "panels": panels,
        "not_drawn": [name for name in metrics["per_class"] if name not in drawn],
        "reliability": charts.reliability_chart(metrics["calibration"]["bins"]),
        "losses": charts.training_chart(contents.training, "losses", marked),
        "validation": charts.training_chart(contents.training, "validation", marked),
        "marked": marked,
        "wrong": int((contents.truths != contents.predictions).any(axis=1).sum()),
    }


def _part(name: str) -> str:
    return (files("xecgnet_jax.report") / name).read_text(encoding="utf-8")


def _policy(parts: dict[str, str]) -> str:
    """The content security policy: our script, our styles, the style attributes of drawings, and nothing else."""
    script, *styles = (
        "'sha256-" + base64.b64encode(hashlib.sha256(parts[name].encode()).digest()).decode("ascii") + "'"
        for name in ("report.js", "report.css", "dark.css")
    )
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {script}",
            f"style-src-elem {' '.join(styles)}",
            "style-src-attr 'unsafe-inline'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
