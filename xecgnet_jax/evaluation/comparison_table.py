"""A comparison as tables and sentences for the terminal, at most 120 columns wide."""

from __future__ import annotations

from typing import Any

from xecgnet_jax.evaluation.formatting import (
    LABEL_COUNT_NAMES,
    WIDTH,
    clip_text,
    format_mean,
    format_p,
    format_signed,
    wrap_text,
)

_GROUPS = ("candidate", "baseline")
#: The longest name of a group that a heading shows whole.
_NAME = 15


def format_comparison(result: dict[str, Any], title: str) -> str:
    """Returns differences with intervals, exact tests of pairs of runs, and what follows; from `comparison.compare`."""
    lines = [title, ""]
    for group in _GROUPS:
        seeds = ["" if seed is None else f" (seed {seed})" for seed in result[group]["seeds"]]
        runs = ", ".join(name + seed for name, seed in zip(result[group]["runs"], seeds, strict=True))
        lines += wrap_text(f"{group} {result[group]['name']}: {runs}", "  ")
    lines += ["", *_differences(result), "", *_tests(result)]
    for sentence in result["words"]:
        lines += wrap_text(f"- {sentence}", "  ")
    lines.append("")
    for note in result["notes"]:
        lines += wrap_text(note)
    return "\n".join(lines)


def _differences(result: dict[str, Any]) -> list[str]:
    resampling, entries = result["resampling"], result["metrics"].values()
    names = [clip_text(result[group]["name"], _NAME) for group in _GROUPS]
    verdicts = {"better": f"{names[0]} better", "worse": f"{names[1]} better"}
    level = f"{100 * resampling['level']:g} % interval"
    lines = [f"{'':<33}{names[0]:>16}{names[1]:>16}{'difference':>12}   {level}"]
    for entry in entries:
        means = "".join(f"{format_mean(entry[group]):>16}" for group in _GROUPS)
        interval = " to ".join(map(format_signed, entry["interval"])) if entry["interval"] else "–"
        verdict = verdicts.get(entry["verdict"], entry["verdict"])
        difference = format_signed(entry["difference"])
        lines.append(f"{entry['label']:<33}{means}{difference:>12}   {interval:<18}{verdict}".rstrip())
    several = any(entry["method"] == "t" for entry in entries)
    return [
        *lines,
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']} (seed "
        f"{resampling['seed']}), the same for both groups" + ("; ± and intervals include seeds." if several else "."),
    ]


def _tests(result: dict[str, Any]) -> list[str]:
    """Returns one block per pair of runs; nothing where there is none."""
    lines: list[str] = []
    columns = {"both": 8, "only_candidate": 16, "only_baseline": 15, "neither": 9, "recordings": 12}
    heading = "".join(f"{name.replace('_', ' '):>{width}}" for name, width in columns.items())
    for pair in result["mcnemar"]:
        runs = f"exact McNemar test of {pair['candidate']} and {pair['baseline']}, recordings that are exact in"
        lines += [clip_text(runs, WIDTH), f"{'':<22}{heading}{'p':>9}"]
        for name, test in pair["by_label_count"].items():
            counts = "".join(f"{test[key]:>{width}}" for key, width in columns.items())
            lines.append(f"  {LABEL_COUNT_NAMES[name]:<20}{counts}{format_p(test['p']):>9}")
        lines.append("")
    return lines
