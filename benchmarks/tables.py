"""What benchmarks give: tables, as text, as JSON, and as Markdown in a page, so that no number is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.timing import Timing
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.files import write_text

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """The results of one measurement.

    Attributes:
      title: what was measured.
      columns: names with units; the first is that of the rows' names.
      rows: one cell for each column; None where there is no such number.
      remarks: sentences that belong below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    remarks: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        """Returns the table for a terminal, with aligned columns."""
        cells = [list(self.columns), *([format_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        lines = [
            "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(row, widths, strict=True)) for row in cells)
        ]
        return "\n".join([self.title, *(f"  {line.rstrip()}" for line in lines), *(f"  {r}" for r in self.remarks)])

    def markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        cells = [list(self.columns), rule, *([format_cell(cell) for cell in row] for row in self.rows)]
        lines = [f"| {' | '.join(row)} |" for row in cells]
        remarks = [f"\n{' '.join(self.remarks)}"] if self.remarks else []
        return "\n".join([f"**{self.title}**\n", *lines, *remarks])


def timing_table(
    title: str,
    timings: Mapping[str, Timing],
    *,
    baseline: str,
    amount: float,
    unit: str,
    compiling: Mapping[str, float] | None = None,
    remarks: Sequence[str] = (),
) -> Table:
    """Returns a table of timings beside each other.

    Args:
      title: what was timed.
      timings: by name.
      baseline: the name whose speed is 1.
      amount: how many of `unit` one repetition does.
      unit: plural, such as recordings.
      compiling: seconds of compilation by name, not part of the timings.
      remarks: sentences below the table.
    """
    columns = ["", "median s", "quartiles s", f"{unit}/s", f"speed, {baseline} = 1"]
    rows: list[list[Cell]] = []
    for name, timing in timings.items():
        quartiles = f"{format_cell(timing.lower)}–{format_cell(timing.upper)}"
        rate, speed = amount / timing.median, timings[baseline].median / timing.median
        rows.append([name, timing.median, quartiles, rate, speed])
    if compiling:
        columns.append("compiling s")
        for row in rows:
            row.append(compiling.get(str(row[0])))
    counts = sorted({timing.repetitions for timing in timings.values()})
    turns = f"Medians of {', '.join(map(str, counts))} interleaved repetitions."
    return Table(title, columns, rows, (turns, *remarks))


def format_cell(cell: Cell) -> str:
    """Returns a cell's text: three significant digits without exponents; – for no number."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{round(cell):,}"
    if cell == 0:
        return "0"
    text = f"{cell:.3g}"
    return f"{cell:.6f}" if "e" in text else text


def read_results(path: Path) -> dict[str, Any]:
    """Returns what `--output` wrote. Raises ConfigError where the file holds nothing of the kind."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return {"machine": dict(results["machine"]), "benchmarks": dict(results["benchmarks"])}
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigError(f"{path} holds no results; give a file that --output wrote") from None


def fill_page(results: Path, page: Path) -> None:
    """Puts the tables of a file that `--output` wrote between the marks <!-- NAME --> and <!-- /NAME --> of a page.

    The machine has its place, too: `machine`, or `gpu_machine` where it has a GPU. Other text stays.

    Raises:
      ConfigError: the file holds no results, or the page has no place for any of them.
    """
    found = read_results(results)
    machine = "; ".join(f"{name} {value}" for name, value in found["machine"].items())
    sections = {"gpu_machine" if "gpu" in found["machine"] else "machine": f"Measured on: {machine}."}
    for name, one in found["benchmarks"].items():
        sections[name] = "\n\n".join(Table(**table).markdown() for table in one["tables"])
    text, places = page.read_text(encoding="utf-8"), 0
    for name, section in sections.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if begin and end:
            text, places = f"{before}{begin}\n{section}\n{end}{after}", places + 1
    if not places:
        raise ConfigError(f"{page} has no place for {', '.join(sections)}; put <!-- NAME --> and <!-- /NAME --> there")
    write_text(page, text)
