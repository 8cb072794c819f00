"""Contents → one HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from xecgnet_jax.evaluation.table import LABEL_COUNT_NAMES, format_value
from xecgnet_jax.report import charts
from xecgnet_jax.report.contents import Contents
from xecgnet_jax.report.gallery import gallery

#: Bytes that a report stays below.
LIMIT = 5_000_000


def report_html(contents: Contents, *, progress: Callable[[int], object] = lambda recordings: None) -> str:
    """Returns the report as one HTML page without any reference to another file, smaller than `LIMIT` bytes as UTF-8.

    Recordings are listed, and pictures drawn, as many as fit; the page says how many. Equal contents give equal pages.

    `progress` is called with the number of recordings that were dealt with; the numbers sum up to R.

    Raises:
      ValueError: a recording that cannot be drawn.
    """
    loader = PackageLoader("xecgnet_jax.report", ".")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    assets = {name: loader.get_source(environment, name)[0] for name in ("report.js", "report.css", "dark.css")}
    metrics, training = contents.metrics, contents.training
    marked = charts.marked_epoch(training, contents.step)
    view = {
        "contents": contents,
        "metrics": metrics,
        "thresholds": contents.thresholds.by_class(contents.classes),
        "label_counts": LABEL_COUNT_NAMES,
        "number": format_value,
        "metric": show_metric,
        "zip": zip,
        "curves": charts.precision_recall_charts(contents.truths, contents.probabilities, metrics["per_class"]),
        "reliability": charts.reliability_chart(
            metrics["calibration"]["bins"], (metrics.get("calibrated") or {"bins": ()})["bins"]
        ),
        "losses": charts.training_chart(training, "losses", marked),
        "validation": charts.training_chart(training, "validation", marked),
        "marked": marked,
        "wrong": int(contents.wrong.sum()),
        "assets": assets,
        "policy": _policy(*assets.values()),
        "data": "",
        "listed": len(contents.ids),
        "pictured": len(contents.ids),
    }
    template = environment.get_template("report.html.j2")
    # Room for what two more counts of recordings take where they differ from each other.
    left = LIMIT - 500 - len(template.render(view).encode("utf-8", "replace"))
    data, listed, pictured = gallery(contents, left, progress)
    html = template.render(view | {"data": data, "listed": listed, "pictured": pictured})
    # Names of files may hold what UTF-8 cannot.
    return html.encode("utf-8", "replace").decode("utf-8")


def show_metric(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the texts of a metric and its interval, "" where there is none, and "low", "high", "at" in percent."""
    value, interval = row[name], row["intervals"][name]
    shown = {"text": format_value(value), "interval": "", "low": None, "high": None, "at": None}
    if value is not None:
        shown |= {"interval": "–", "at": 100 * value}
        if interval is not None:
            low, high = interval
            shown |= {"interval": f"{low:.3f}–{high:.3f}", "low": 100 * low, "high": 100 * high}
    return shown


def _policy(*assets: str) -> str:
    """Returns the content security policy: our script, our styles, style attributes of drawings, and nothing else."""
    digests = [base64.b64encode(hashlib.sha256(asset.encode()).digest()).decode("ascii") for asset in assets]
    script, *styles = (f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {script}; style-src-elem {' '.join(styles)}; "
        "style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
