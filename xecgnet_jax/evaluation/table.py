"""Metrics and label sets of one evaluation as tables for the terminal, at most 120 columns; – is what is undefined."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

WIDTH = 120
#: The names of `metrics.LABEL_COUNTS` in tables.
LABEL_COUNT_NAMES = {
    "all": "all recordings",
    "single_label": "one class",
    "multi_label": "several classes",
    "no_label": "none of the classes",
}
#: Metrics of a class and their headings.
_COLUMNS = {"precision": "precision", "recall": "recall", "f1": "F1", "auroc": "AUROC", "average_precision": "AP"}
_FOOTNOTES = (
    "–: undefined, because there are no such recordings or predictions; macro averages leave it out.",
    "An interval is undefined (–) where all resamples agree or its metric is undefined in over a tenth of them.",
)
#: The longest class name that is shown whole.
_NAME = 20
#: Rows of the label-set table, and predicted sets in each.
_SETS, _PREDICTED = 15, 3


def format_table(metrics: dict[str, Any], title: str) -> str:
    """Returns the tables of an evaluation (`scores.evaluate`): classes, averages, subset accuracy, calibration.

    `title` is the first line; "thresholds" {"name", "values" by class} of the metrics, where they have them, the next.
    """
    thresholds = thresholds_lines(**metrics["thresholds"]) if "thresholds" in metrics else []
    resampling = metrics["resampling"]
    lines = [*thresholds, "", *_classes(metrics), "", *_subset_accuracy(metrics["subset_accuracy"]), ""]
    lines += [*_of_recordings(metrics), ""]
    lines += wrap_text(
        f"{100 * resampling['level']:g} % intervals: Wilson's for precision, recall and subset accuracy, else "
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']} "
        f"(seed {resampling['seed']})."
    )
    if any("–" in line for line in lines):
        lines += ["", *_FOOTNOTES]
    return "\n".join([title, *lines])


def thresholds_lines(
    name: str, values: Mapping[str, float], calibrated: Mapping[str, float] | None = None
) -> list[str]:
    """Returns the thresholds by class, or the one that all have, as lines; then those on the calibrated scale."""
    if len(set(values.values())) == 1:
        value = f"{next(iter(values.values())):g}"
        lines = [f"threshold {value}" if name == value else f"thresholds {name}: {value} for every class"]
    else:
        lines = wrap_text(f"thresholds {name}: {_listed(values)}", "  ")
    return lines if calibrated is None else lines + wrap_text(f"which is, calibrated: {_listed(calibrated)}", "  ")


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name}\N{NO-BREAK SPACE}{value:.3f}" for name, value in values.items())


def _classes(metrics: dict[str, Any]) -> list[str]:
    per_class, micro, macro = metrics["per_class"], metrics["micro"], metrics["macro"]
    width = min(_NAME, max(8, *map(len, per_class))) + 2
    lines = [f"{'class':<{width}}" + "".join(f"   {name:<15}" for name in _COLUMNS.values()) + f"{'support':>8}"]
    rows = [(name, row, row["support"]) for name, row in per_class.items()]
    rows += [("micro", micro, micro["support"]), ("macro", macro, f"{macro['classes']} of {len(per_class)}")]
    for name, row, support in rows:
        cells = [f"{format_value(row[key]):>8} {_interval(row, key):<9}" if key in row else "" for key in _COLUMNS]
        lines.append(f"{clip_text(name, _NAME):<{width}}{''.join(f'{cell:18}' for cell in cells)}{support!s:>8}")
    return lines


def _interval(row: dict[str, Any], name: str, digits: int = 2, value: str | None = None) -> str:
    """Returns 0.88-0.99; nothing where the metric itself is undefined."""
    if row[value or name] is None:
        return ""
    interval = row["intervals"][name]
    return "–" if interval is None else f"{interval[0]:.{digits}f}-{interval[1]:.{digits}f}"


def _subset_accuracy(accuracies: dict[str, Any]) -> list[str]:
    by_patient = "accuracy_by_patient" in accuracies["all"]["intervals"]
    heading = f"{'subset accuracy':<32}{'exact':>8}{'of':>8}   Wilson"
    lines = [heading + ("        by patient" if by_patient else "")]
    for name, row in accuracies.items():
        line = f"  {LABEL_COUNT_NAMES[name]:<20}{format_value(row['accuracy']):>10}{row['exact']:>8}"
        line += f"{row['recordings']:>8}   {_interval(row, 'accuracy', 3):<14}"
        line += _interval(row, "accuracy_by_patient", 3, value="accuracy") if by_patient else ""
        lines.append(line.rstrip())
    return lines


def _of_recordings(metrics: dict[str, Any]) -> list[str]:
    rows = [("Hamming loss", metrics, "hamming_loss", ""), ("samples F1", metrics, "samples_f1", "")]
    for key, after in (("calibration", ""), ("calibrated", ", calibrated")):
        if (found := metrics.get(key)) is not None:
            by_chance = f"{format_value(found['calibration_error_by_chance'])} by chance, were they right"
            more = f"  {by_chance}; {len(found['bins'])} bins"
            rows += [(f"Brier score{after}", found, "brier", "")]
            rows += [(f"calibration error{after}", found, "calibration_error", more)]
    return [
        f"{label:<30}{format_value(row[key]):>8}   {_interval(row, key, 3):<11}{more}".rstrip()
        for label, row, key, more in rows
    ]


def format_label_sets(found: dict[str, Any]) -> str:
    """Returns what was predicted for recordings with several classes, from `label_sets.label_sets`, as a table."""
    if not found["recordings"]:
        return "no recording has several classes"
    outcomes = found["outcomes"]
    lines = [
        f"several classes: {found['recordings']} recordings: {outcomes['exact']} exact, "
        f"{outcomes['all_and_more']} with all and more, {outcomes['part']} with a part, {outcomes['none']} with none",
        "",
        _label_set_row("true", "n", "exact", "missed", "extra", "predicted, most frequent first"),
    ]
    for row in found["sets"][:_SETS]:
        predicted = [f"{'+'.join(one['classes']) or 'none'} {one['recordings']}" for one in row["predicted"]]
        more = ["…"] if len(predicted) > _PREDICTED else []
        missed = ", ".join(f"{name} {number}" for name, number in row["missed"].items() if number)
        extra = ", ".join(f"{name} {number}" for name, number in row["extra"].items())
        others = ", ".join(predicted[:_PREDICTED] + more)
        lines.append(_label_set_row("+".join(row["true"]), row["recordings"], row["exact"], missed, extra, others))
    if rest := found["sets"][_SETS:]:
        lines.append(f"… and {sum(row['recordings'] for row in rest)} recordings with other sets")
    return "\n".join(lines)


def _label_set_row(true: str, number: int | str, exact: int | str, missed: str, extra: str, predicted: str) -> str:
    cells = f"{clip_text(true, 20):<20}{number!s:>5}{exact!s:>7}  "
    cells += f"{clip_text(missed, 22):<22}  {clip_text(extra, 20):<20}  "
    return (cells + clip_text(predicted, WIDTH - len(cells))).rstrip()


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


def clip_text(text: str, width: int = WIDTH) -> str:
    """Returns the text, its end replaced by … where it is longer than the width."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrap_text(text: str, indent: str = "") -> list[str]:
    """Returns lines of at most 120 columns; they never break at a no-break space or before a %."""
    lines = textwrap.wrap(text.replace(" %", "\N{NO-BREAK SPACE}%"), WIDTH, subsequent_indent=indent)
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
