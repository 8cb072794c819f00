"""Figures and label sets of one evaluation as tables for the terminal, at most 120 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 120
GROUP_NAMES = {
    "all": "all recordings",
    "single_label": "one class",
    "multi_label": "several classes",
    "no_label": "none of the classes",
}
#: Figures of a class and their headings; those that the metrics lack are left out.
_COLUMNS = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC", "average_precision": "AP"}
_FOOTNOTE = "–: undefined, for want of such recordings or predictions; macro averages leave it out."
_NO_INTERVAL = (
    "An interval is undefined (–) where all resamples agree or over a tenth of them leave its figure undefined."
)
#: The longest class name that is shown whole.
_NAME = 20
#: Rows of the label-set table, and predicted sets in each.
_SETS, _PREDICTED = 15, 3


def format_table(metrics: dict[str, Any], title: str) -> str:
    """The tables of one evaluation: per class, averages, subset accuracy with its counts, calibration.

    Args:
      metrics: from `scores.evaluate`, or from `metrics.summarize`, which knows neither intervals nor probabilities. Its
        "thresholds" {"name", "values" by class}, where it has them, are named below the title.
      title: the first line.
    """
    complete = "resampling" in metrics
    thresholds = thresholds_lines(**metrics["thresholds"]) if "thresholds" in metrics else []
    lines = [*thresholds, "", *_classes(metrics), "", *_subset_accuracy(metrics)]
    if complete:
        lines += ["", *_whole(metrics), "", *_resampling(metrics["resampling"])]
    if any("–" in line for line in lines):
        lines += ["", _FOOTNOTE, *([_NO_INTERVAL] if complete else [])]
    return "\n".join([title, *lines])


def format_label_sets(found: dict[str, Any]) -> str:
    """What was predicted for recordings with several classes, from `label_sets.label_sets`."""
    if not found["recordings"]:
        return "no recording has several classes"
    outcomes = found["outcomes"]
    lines = [
        f"several classes: {found['recordings']} recordings; predicted exactly {outcomes['exact']}, all and more "
        f"{outcomes['all_and_more']}, a part {outcomes['part']}, none {outcomes['none']}",
        "",
        _set_row("true", "n", "exact", "missed", "extra", "predicted, most frequent first"),
    ]
    for row in found["sets"][:_SETS]:
        predicted = [f"{_set(one['classes'])} {one['recordings']}" for one in row["predicted"]]
        more = ["…"] if len(predicted) > _PREDICTED else []
        lines.append(
            _set_row(
                _set(row["true"]),
                row["recordings"],
                row["exact"],
                ", ".join(f"{name} {number}" for name, number in row["missed"].items() if number),
                ", ".join(f"{name} {number}" for name, number in row["extra"].items()),
                ", ".join(predicted[:_PREDICTED] + more),
            )
        )
    if rest := found["sets"][_SETS:]:
        lines.append(f"… and {sum(row['recordings'] for row in rest)} recordings with other sets")
    return "\n".join(lines)


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def clipped(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrapped(text: str, indent: str = "") -> list[str]:
    """Lines of at most 120 columns; no-break spaces and the one before a % stay within their line, as plain ones."""
    lines = textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), WIDTH, subsequent_indent=indent)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def thresholds_lines(name: str, values: Mapping[str, float]) -> list[str]:
    """The thresholds by class, or the one that all have."""
    if len(set(values.values())) == 1:
        value = f"{next(iter(values.values())):g}"
        return [f"threshold {value}" if name == value else f"thresholds {name}: {value} for every class"]
    listed = ", ".join(f"{one}\N{NO-BREAK SPACE}{value:.3f}" for one, value in values.items())
    return wrapped(f"thresholds {name}: {listed}", "  ")


def _classes(metrics: dict[str, Any]) -> list[str]:
    per_class, micro, macro = metrics["per_class"], metrics["micro"], metrics["macro"]
    columns = [name for name in _COLUMNS if name in macro]
    width = min(_NAME, max(8, *map(len, per_class))) + 2
    heading = "".join(_heading(_COLUMNS[name], "resampling" in metrics) for name in columns)
    lines = [f"{'class':<{width}}{heading}{'support':>{_support(metrics)}}"]
    rows = [(name, row, row["support"]) for name, row in per_class.items()]
    rows += [("micro", micro, micro["support"]), ("macro", macro, f"{macro['classes']} of {len(per_class)}")]
    for name, row, support in rows:
        cells = "".join(_cell(row, column) for column in columns)
        lines.append(f"{clipped(name, _NAME):<{width}}{cells}{support!s:>{_support(metrics)}}")
    return lines


def _support(metrics: dict[str, Any]) -> int:
    return 8 if "resampling" in metrics else 10


def _heading(name: str, with_interval: bool) -> str:
    return f"   {name:<15}" if with_interval else f"{name:>10}"


def _cell(row: dict[str, Any], name: str) -> str:
    """A figure, and its interval where it has one: 18 columns; else 10."""
    if "intervals" not in row:
        return f"{figure(row[name]):>10}"
    if name not in row:
        return " " * 18
    return f"{figure(row[name]):>8} {_interval(row, name):<9}"


def _interval(row: dict[str, Any], name: str, digits: int = 2) -> str:
    """0.88-0.99; nothing where the figure itself is undefined."""
    if row.get(name) is None:
        return ""
    interval = row["intervals"][name]
    return "–" if interval is None else f"{interval[0]:.{digits}f}-{interval[1]:.{digits}f}"


def _subset_accuracy(metrics: dict[str, Any]) -> list[str]:
    groups = metrics["subset_accuracy"]
    complete = "intervals" in groups["all"]
    by_patient = complete and "accuracy_by_patient" in groups["all"]["intervals"]
    heading = f"{'subset accuracy':<32}{'exact':>8}{'of':>8}" + ("   Wilson" if complete else "")
    lines = [heading + ("        by patient" if by_patient else "")]
    for group, row in groups.items():
        line = f"  {GROUP_NAMES[group]:<20}{figure(row['accuracy']):>10}{row['exact']:>8}{row['recordings']:>8}"
        if complete:
            line += f"   {_interval(row, 'accuracy', 3):<14}"
        if by_patient and row["accuracy"] is not None:
            interval = row["intervals"]["accuracy_by_patient"]
            line += "–" if interval is None else f"{interval[0]:.3f}-{interval[1]:.3f}"
        lines.append(line.rstrip())
    return lines


def _whole(metrics: dict[str, Any]) -> list[str]:
    calibration = metrics["calibration"]
    rows = [
        ("Hamming loss", metrics, "hamming_loss", ""),
        ("samples F1", metrics, "samples_f1", ""),
        ("Brier score", calibration, "brier", ""),
        (
            "calibration error",
            calibration,
            "calibration_error",
            f"  {figure(calibration['calibration_error_by_chance'])} were the probabilities right; "
            f"{len(calibration['bins'])} bins",
        ),
    ]
    return [
        f"{label:<22}{figure(row[key]):>10}   {_interval(row, key, 3):<11}{more}".rstrip()
        for label, row, key, more in rows
    ]


def _resampling(resampling: dict[str, Any]) -> list[str]:
    """What the intervals are."""
    return wrapped(
        f"{100 * resampling['level']:g} % intervals: Wilson's for precision, recall and subset accuracy, else "
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']} "
        f"(seed {resampling['seed']})."
    )


def _set(classes: list[str]) -> str:
    return "+".join(classes) or "none"


def _set_row(true: str, number: Any, exact: Any, missed: str, extra: str, predicted: str) -> str:
    cells = f"{clipped(true, 20):<20}{number!s:>5}{exact!s:>7}  {clipped(missed, 22):<22}  {clipped(extra, 20):<20}  "
    return (cells + clipped(predicted, WIDTH - len(cells))).rstrip()
