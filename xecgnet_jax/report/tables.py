"""The metrics of an evaluation as the texts that stand in a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from xecgnet_jax.evaluation.table import LABEL_COUNT_NAMES
from xecgnet_jax.report.contents import Contents

_COLUMNS = ("precision", "recall", "f1", "auroc", "average_precision", "brier", "calibration_error")


class Metric(NamedTuple):
    """A metric on the page.

    Attributes:
      text: – where it is undefined, "" where there is none.
      interval: its text, "" where there is none.
      low, high, at: interval and value as percentages, for a mark on a line; None where undefined.
    """

    text: str = ""
    interval: str = ""
    low: float | None = None
    high: float | None = None
    at: float | None = None


class Headline(NamedTuple):
    """One of the large numbers: its name, the metric, and how many recordings, labels or classes it is of."""

    name: str
    metric: Metric
    counts: str


class Row(NamedTuple):
    """A row of the table of classes."""

    name: str
    support: str
    predicted: str
    threshold: str
    metrics: list[Metric]


class LabelSet(NamedTuple):
    """A row of the table of label sets.

    Attributes:
      name: the true classes.
      recordings, exact: counts.
      hits: (class, in how many it was predicted, whether that is not all).
      instead: what was predicted where it was not exactly the set, with counts.
    """

    name: str
    recordings: int
    exact: int
    hits: list[tuple[str, int, bool]]
    instead: list[str]


def show_number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def show_metric(row: Mapping[str, Any], name: str) -> Metric:
    """Returns a metric of a row with its interval."""
    value = row[name]
    if value is None:
        return Metric("–")
    interval = row["intervals"][name]
    if interval is None:
        return Metric(show_number(value), "–", at=100 * value)
    low, high = interval
    return Metric(show_number(value), f"{low:.3f}–{high:.3f}", 100 * low, 100 * high, 100 * value)


def exact_headlines(metrics: Mapping[str, Any]) -> list[Headline]:
    """Returns the subset accuracy of all recordings and of each group that has some."""
    return [
        Headline(LABEL_COUNT_NAMES[group], show_metric(row, "accuracy"), f"{row['exact']:,} of {row['recordings']:,}")
        for group, row in metrics["subset_accuracy"].items()
        if row["recordings"] or group in ("all", "multi_label")
    ]


def f1_headlines(metrics: Mapping[str, Any]) -> list[Headline]:
    """Returns micro and macro F1."""
    micro, macro = metrics["micro"], metrics["macro"]
    return [
        Headline("micro", show_metric(micro, "f1"), f"{micro['support']:,} labels"),
        Headline("macro", show_metric(macro, "f1"), f"{macro['classes']} of {len(metrics['per_class'])} classes"),
    ]


def class_rows(contents: Contents) -> list[Row]:
    """Returns a row for each class."""
    rows = zip(contents.metrics["per_class"].items(), contents.thresholds.values, strict=True)
    return [
        Row(name, f"{row['support']:,}", f"{row['predicted']:,}", show_number(threshold), _show_metrics(row, _COLUMNS))
        for (name, row), threshold in rows
    ]


def average_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Returns a row of micro and a row of macro averages."""
    micro, macro, classes = metrics["micro"], metrics["macro"], metrics["per_class"]
    predicted = sum(row["predicted"] for row in classes.values())
    pooled = _show_metrics(micro, _COLUMNS[:3]) + [Metric()] * 2 + _show_metrics(metrics["calibration"], _COLUMNS[5:])
    means = _show_metrics(macro, _COLUMNS[:5]) + [Metric()] * 2
    return [
        Row("micro", f"{micro['support']:,}", f"{predicted:,}", "", pooled),
        Row("macro", f"{macro['classes']} of {len(classes)}", "", "", means),
    ]


def _show_metrics(row: Mapping[str, Any], names: Sequence[str]) -> list[Metric]:
    return [show_metric(row, name) for name in names]


def label_set_rows(metrics: Mapping[str, Any]) -> list[LabelSet]:
    """Returns a row for each combination of classes."""
    rows = []
    for row in metrics["label_sets"]["sets"]:
        hits = [(name, row["recordings"] - missed, missed > 0) for name, missed in row["missed"].items()]
        instead = [
            (" + ".join(answer["classes"]) or "none") + f" ×{answer['recordings']}" * (answer["recordings"] > 1)
            for answer in row["predicted"]
            if set(answer["classes"]) != set(row["true"])
        ]
        rows.append(LabelSet(" + ".join(row["true"]), row["recordings"], row["exact"], hits, instead))
    return rows


def thresholds_sentence(contents: Contents) -> str:
    """Tells which thresholds there are, and where they come from."""
    name = contents.thresholds.name
    if name == "0.5":
        return "A class is predicted where its probability is 0.5 or more."
    goal = {"best-f1": "the best F1 of each class", "best-subset": "the best subset accuracy"}[name]
    return (
        f"A class is predicted where its probability reaches its own threshold ({name}: chosen during training for "
        f"{goal} on the validation part)."
    )


def intervals_sentence(metrics: Mapping[str, Any]) -> str:
    """Tells what the intervals are."""
    resampling = metrics["resampling"]
    share = f"{100 * resampling['level']:g}\N{NO-BREAK SPACE}%"
    text = (
        f"Ranges are {share} intervals: Wilson’s for subset accuracy, precision and recall; all others from "
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']}."
    )
    by_patient = metrics["subset_accuracy"]["all"]["intervals"].get("accuracy_by_patient")
    if by_patient is None:
        return text
    return (
        f"{text} Some patients have several recordings: resampled by patient, the subset accuracy of all recordings is "
        f"{by_patient[0]:.3f}–{by_patient[1]:.3f}."
    )
