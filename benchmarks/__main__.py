"""python -m benchmarks: times this package against its peers; docs/performance.md says how."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import markdown
from benchmarks.machine import description
from xecgnet_jax.errors import ConfigError, XECGNetError
from xecgnet_jax.files import write_json

#: Name → what it measures; the module benchmarks.NAME has `run(setting)`, which yields tables.
BENCHMARKS: dict[str, str] = {
    "step": "one training step of the authors' network against PyTorch, and how near it is to the machine's limit",
    "epoch": "an epoch with its data against a PyTorch loop with its DataLoader",
    "huge_pages": "step and epoch again, with huge pages for memory",
    "inference": "the plain network, the collapsed one, and PyTorch",
    "padding": "recordings of unequal lengths in the paper's windows of 72,000 samples",
    "start": "from the command to the end of the first step, and what is imported",
    "packing": "recordings packed per second against a plain loop of wfdb.rdsamp",
    "packing_20000": "the memory that packing 20,000 recordings takes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    if chosen.list:
        print("\n".join(f"{name:<16}{about}" for name, about in BENCHMARKS.items()))
        return 0
    try:
        names = _check_names(chosen.names)
        if chosen.markdown:
            markdown.show(chosen.markdown, chosen.into)
        else:
            _measure(names, chosen.quick, chosen.scratch, chosen.output)
    except XECGNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; all by default, see --list")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and end")
    parser.add_argument("--quick", action="store_true", help="a smoke test with tiny sizes, whose numbers mean nothing")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file, too")
    parser.add_argument("--scratch", type=Path, help="folder for corpora and packs, kept; default: a temporary one")
    parser.add_argument("--markdown", type=Path, metavar="JSON", help="print the tables of such a file as Markdown")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="with --markdown: put them into this page instead")
    return parser


def _check_names(names: Sequence[str]) -> list[str]:
    if unknown := [name for name in names if name not in BENCHMARKS]:
        raise ConfigError(f"no benchmark {', '.join(unknown)}; possible: {', '.join(BENCHMARKS)}")
    return list(names or BENCHMARKS)


def _measure(names: Sequence[str], quick: bool, scratch: Path | None, output: Path | None) -> None:
    """Runs benchmarks one after another; the file grows with each, so that a stop loses the latest only."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the peers run on the CPU; benchmarks.gpu measures GPUs
    from benchmarks.setting import Setting

    about = description()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    results: dict[str, Any] = {"machine": about, "quick": quick, "benchmarks": {}}
    with _folder(scratch) as folder:
        for name in names:
            began = time.monotonic()
            tables = []
            for table in importlib.import_module(f"benchmarks.{name}").run(Setting(quick, folder)):
                print(f"\n[{name}] {table.text()}", flush=True)
                tables.append(table.to_json())
            results["benchmarks"][name] = {"seconds": time.monotonic() - began, "tables": tables}
            if output:
                write_json(output, results)


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        yield scratch
        return
    with tempfile.TemporaryDirectory(prefix="xecgnet-jax-benchmarks-") as temporary:
        yield Path(temporary)


if __name__ == "__main__":
    sys.exit(main())
