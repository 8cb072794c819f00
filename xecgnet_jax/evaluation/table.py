"""The figures of `summarise` as a table for the terminal."""

from __future__ import annotations

from typing import Any

_GROUP_NAMES = {
    "all": "all recordings",
    "single_label": "one class",
    "multi_label": "several classes",
    "no_label": "none of the classes",
}


def format_table(summary: dict[str, Any], title: str) -> str:
    """A table of one evaluation: per class, averages, subset accuracy with its counts."""
    lines = [title, "", f"{'class':<10}{'precision':>10}{'recall':>10}{'F1':>10}{'support':>10}"]
    for name, row in summary["per_class"].items():
        lines.append(_row(name, row, row["support"]))
    macro, micro = summary["macro"], summary["micro"]
    lines.append(_row("micro", micro, micro["support"]))
    lines.append(_row("macro", macro, f"{macro['classes']} of {len(summary['per_class'])}"))
    lines += ["", f"{'subset accuracy':<32}{'exact':>8}{'of':>8}"]
    for group, row in summary["subset_accuracy"].items():
        name = _GROUP_NAMES[group]
        lines.append(f"  {name:<20}{_figure(row['accuracy']):>10}{row['exact']:>8}{row['recordings']:>8}")
    table = "\n".join(lines)
    if any("–" in line for line in lines[1:]):
        table += "\n\n–: undefined, for want of such recordings or predictions; macro averages leave it out."
    return table


def _row(name: str, row: dict[str, Any], support: object) -> str:
    return (
        f"{name:<10}{_figure(row['precision']):>10}{_figure(row['recall']):>10}{_figure(row['f1']):>10}{support!s:>10}"
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
