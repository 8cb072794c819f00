"""Numbers, names and sentences as texts for a terminal of 120 columns; – stands for what is undefined."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 120
#: The names of `metrics.LABEL_COUNTS` in tables.
LABEL_COUNT_NAMES = {
    "all": "all recordings",
    "single_label": "one class",
    "multi_label": "several classes",
    "no_label": "none of the classes",
}


def format_value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def format_signed(value: float | None) -> str:
    """Returns +0.034 or −0.069; what rounds to 0 has no sign."""
    sign = "" if value is None or round(abs(value), 3) == 0 else "+" if value > 0 else "−"
    return sign + format_value(None if value is None else abs(value))


def format_mean(runs: dict[str, Any]) -> str:
    """Returns the mean over runs, and ± their standard deviation where there are several."""
    return format_value(runs["mean"]) + ("" if runs["sd"] is None else f" ± {runs['sd']:.3f}")


def format_p(p: float | None) -> str:
    return "< 0.001" if p is not None and p < 0.001 else format_value(p)


def clip_text(text: str, width: int) -> str:
    """Returns the text, its end replaced by … where it is longer than the width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrap_text(text: str, indent: str = "") -> list[str]:
    """Returns lines of at most 120 columns; they never break at a no-break space or before a %."""
    lines = textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), WIDTH, subsequent_indent=indent)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
