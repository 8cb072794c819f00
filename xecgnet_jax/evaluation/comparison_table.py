"""A comparison as tables and sentences for the terminal, at most 120 columns wide."""

from __future__ import annotations

from typing import Any

from xecgnet_jax.evaluation.table import GROUP_NAMES, clipped, figure, wrapped
from xecgnet_jax.evaluation.wording import signed

#: The longest name of a side that a heading shows whole.
_NAME = 15


def format_comparison(result: dict[str, Any], title: str) -> str:
    """Differences with intervals, exact tests of pairs of runs, and what follows; from `comparison.compare`."""
    lines = [title, "", *_sides(result), "", *_differences(result), "", *_tests(result)]
    for sentence in result["words"]:
        lines += wrapped(f"- {sentence}", "  ")
    lines.append("")
    for note in result["notes"]:
        lines += wrapped(note)
    return "\n".join(lines)


def _sides(result: dict[str, Any]) -> list[str]:
    lines = []
    for side in (result["one"], result["other"]):
        known = [f"seed {seed}" if seed is not None else "" for seed in side["seeds"]]
        runs = [f"{name} ({seed})" if seed else name for name, seed in zip(side["runs"], known, strict=True)]
        lines += wrapped(f"{side['name']}: {', '.join(runs)}", "  ")
    return lines


def _differences(result: dict[str, Any]) -> list[str]:
    resampling = result["resampling"]
    names = [clipped(result[side]["name"], _NAME) for side in ("one", "other")]
    interval = f"{100 * resampling['level']:g} % interval"
    lines = [f"{'':<33}{names[0]:>16}{names[1]:>16}{'difference':>12}   {interval}"]
    for entry in result["figures"].values():
        sides = "".join(f"{_side(entry[side]):>16}" for side in ("one", "other"))
        verdict = {"better": f"{names[0]} better", "worse": f"{names[1]} better"}.get(
            entry["verdict"], entry["verdict"]
        )
        difference = "–" if entry["difference"] is None else signed(entry["difference"])
        lines.append(
            f"{entry['label']:<33}{sides}{difference:>12}   {_interval(entry['interval']):<18}{verdict}".rstrip()
        )
    several = any(entry["method"] == "t" for entry in result["figures"].values())
    return [
        *lines,
        f"{resampling['resamples']:,} resamples of {resampling['number']:,} {resampling['units']} (seed "
        f"{resampling['seed']}), the same for both sides" + ("; ± and intervals include seeds." if several else "."),
    ]


def _tests(result: dict[str, Any]) -> list[str]:
    """One block per pair of runs; nothing where there is none."""
    lines: list[str] = []
    for pair in result["mcnemar"]:
        runs = f"{pair['one']} and {pair['other']}"
        lines.append(f"{'exact McNemar':<22}{'both':>8}{'only 1st':>10}{'only 2nd':>10}{'neither':>9}{'of':>7}{'p':>9}")
        lines[-1] += f"   {clipped(runs, 42)}"
        for group, test in pair["groups"].items():
            p = "–" if test["p"] is None else "< 0.001" if test["p"] < 0.001 else f"{test['p']:.3f}"
            lines.append(
                f"  {GROUP_NAMES[group]:<20}{test['both']:>8}{test['only_one']:>10}{test['only_other']:>10}"
                f"{test['neither']:>9}{test['recordings']:>7}{p:>9}"
            )
        lines.append("")
    return lines


def _side(spread: dict[str, Any]) -> str:
    return figure(spread["mean"]) + ("" if spread["sd"] is None else f" ± {spread['sd']:.3f}")


def _interval(interval: list[float] | None) -> str:
    return "–" if interval is None else f"{signed(interval[0])} to {signed(interval[1])}"
