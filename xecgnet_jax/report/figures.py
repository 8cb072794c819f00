"""The metrics as the texts that stand in a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from xecgnet_jax.evaluation.table import LABEL_COUNT_NAMES
from xecgnet_jax.evaluation.table import format_value as number
from xecgnet_jax.report.contents import Contents

_COLUMNS = ("precision", "recall", "f1", "auroc", "average_precision", "brier", "calibration_error")


class Figure(NamedTuple):
    """A number on the page.

    Attributes:
      value: its text, – where it is undefined, "" where there is none.
      interval: its text, "" where there is none.
      low, high, at: the same as percentages, for a mark on a line; None where undefined.
    """

    value: str = ""
    interval: str = ""
    low: float | None = None
    high: float | None = None
    at: float | None = None


class Headline(NamedTuple):
    """One of the large numbers: what it is of, the number, and what it was counted on."""

    name: str
    figure: Figure
    counts: str


class Row(NamedTuple):
    """A row of the table of classes."""

    name: str
    support: str
    predicted: str
    threshold: str
    figures: list[Figure]


class LabelSet(NamedTuple):
    """A row of the table of label sets.

    Attributes:
      name: the true classes.
      recordings, exact: counts.
      found: (class, in how many it was predicted, whether that is not all).
      instead: what was predicted where it was not exactly the set, with counts.
    """

    name: str
    recordings: int
    exact: int
    found: list[tuple[str, int, bool]]
    instead: list[str]


def figure(row: Mapping[str, Any], name: str) -> Figure:
    """A figure with its interval."""
    value = row[name]
    if value is None:
        return Figure("–")
    interval = row["intervals"][name]
    if interval is None:
        return Figure(number(value), "–", at=100 * value)
    low, high = interval
    return Figure(number(value), f"{low:.3f}–{high:.3f}", 100 * low, 100 * high, 100 * value)


def exact_figures(metrics: Mapping[str, Any]) -> list[Headline]:
    """Subset accuracy of all recordings and of each label count that has some."""
    return [
        Headline(LABEL_COUNT_NAMES[name], figure(row, "accuracy"), f"{row['exact']:,} of {row['recordings']:,}")
        for name, row in metrics["subset_accuracy"].items()
        if row["recordings"] or name in ("all", "multi_label")
    ]


def f1_figures(metrics: Mapping[str, Any]) -> list[Headline]:
    """Micro and macro F1."""
    micro, macro = metrics["micro"], metrics["macro"]
    return [
        Headline("micro", figure(micro, "f1"), f"{micro['support']:,} labels"),
        Headline("macro", figure(macro, "f1"), f"{macro['classes']} of {len(metrics['per_class'])} classes"),
    ]


def class_rows(contents: Contents) -> list[Row]:
    """A row for each class."""
    return [
        Row(
            name,
            f"{row['support']:,}",
            f"{row['predicted']:,}",
            f"{threshold:.3f}",
            [figure(row, column) for column in _COLUMNS],
        )
        for (name, row), threshold in zip(
            contents.metrics["per_class"].items(), contents.thresholds.values, strict=True
        )
    ]


def average_rows(metrics: Mapping[str, Any]) -> list[Row]:
    """Micro and macro averages."""
    micro, macro, calibration = metrics["micro"], metrics["macro"], metrics["calibration"]
    predicted = sum(row["predicted"] for row in metrics["per_class"].values())
    pooled = [figure(micro, column) for column in _COLUMNS[:3]]
    pooled += [Figure(), Figure(), figure(calibration, "brier"), figure(calibration, "calibration_error")]
    mean = [figure(macro, column) for column in _COLUMNS[:5]] + [Figure(), Figure()]
    return [
        Row("micro", f"{micro['support']:,}", f"{predicted:,}", "", pooled),
        Row("macro", f"{macro['classes']} of {len(metrics['per_class'])}", "", "", mean),
    ]


def label_set_rows(metrics: Mapping[str, Any]) -> list[LabelSet]:
    """A row for each combination of classes."""
    rows = []
    for one in metrics["label_sets"]["sets"]:
        others = [other for other in one["predicted"] if set(other["classes"]) != set(one["true"])]
        rows.append(
            LabelSet(
                joined(one["true"]),
                one["recordings"],
                one["exact"],
                [(name, one["recordings"] - missed, missed > 0) for name, missed in one["missed"].items()],
                [
                    joined(other["classes"]) + (f" ×{other['recordings']}" if other["recordings"] > 1 else "")
                    for other in others
                ],
            )
        )
    return rows


def joined(names: list[str]) -> str:
    return " + ".join(names) or "none"


def thresholds_sentence(contents: Contents) -> str:
    """Which thresholds, and where they come from."""
    name = contents.thresholds.name
    if name == "0.5":
        return "A class is predicted from a probability of 0.5 on."
    goal = {"best-f1": "the best F1 of each class", "best-subset": "the best subset accuracy"}[name]
    return (
        f"A class is predicted from its own threshold on ({name}: chosen for {goal} on the validation part while "
        "training)."
    )


def intervals_sentence(metrics: Mapping[str, Any]) -> str:
    """What the intervals are."""
    made = metrics["resampling"]
    share = f"{100 * made['level']:g}\N{NO-BREAK SPACE}%"
    text = (
        f"Ranges are {share} intervals: Wilson’s for subset accuracy, precision and recall; else {made['resamples']:,} "
        f"resamples of {made['number']:,} {made['units']}."
    )
    by_patient = metrics["subset_accuracy"]["all"]["intervals"].get("accuracy_by_patient")
    if by_patient is None:
        return text
    return (
        f"{text} Some patients have several recordings: resampled by patient, the subset accuracy of all recordings is "
        f"{by_patient[0]:.3f}–{by_patient[1]:.3f}."
    )
