"""Results in a JSON file → Markdown, on the terminal or in a page, so that no number is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.tables import Table
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.files import write_text


def show(results: Path, page: Path | None) -> None:
    """Prints all tables of a file that `--output` wrote, or puts them into a page.

    Raises:
      ConfigError: the file holds no such results, or the page has no place for any of them.
    """
    sections = format_sections(read_results(results))
    if page is None:
        print("\n\n".join(sections.values()))
        return
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{page}: cannot be read ({error.strerror}); give a page with places for tables") from None
    write_text(page, fill(text, sections, page))


def read_results(path: Path) -> dict[str, Any]:
    """Returns what `--output` wrote."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        return {"machine": dict(results["machine"]), "benchmarks": dict(results["benchmarks"])}
    except (OSError, ValueError, TypeError, KeyError):
        raise ConfigError(f"{path} holds no results; give a file that --output wrote") from None


def format_sections(results: dict[str, Any]) -> dict[str, str]:
    """Returns name → Markdown: of the machine (one with a GPU has its own place) and of each benchmark's tables."""
    machine = "\n".join(f"- {name}: {value}" for name, value in results["machine"].items())
    tables = {
        name: "\n\n".join(Table.from_json(table).markdown() for table in found["tables"])
        for name, found in results["benchmarks"].items()
    }
    return {"gpu_machine" if "gpu" in results["machine"] else "machine": machine, **tables}


def fill(text: str, sections: dict[str, str], page: Path) -> str:
    """Returns `text` with each section between its marks `<!-- NAME -->` and `<!-- /NAME -->`; others stay."""
    found = False
    for name, section in sections.items():
        before, begin, rest = text.partition(f"<!-- {name} -->")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if begin and end:
            found = True
            text = f"{before}{begin}\n{section}\n{end}{after}"
    if not found:
        raise ConfigError(f"{page} has no place for {', '.join(sections)}; put <!-- NAME --> and <!-- /NAME --> there")
    return text
