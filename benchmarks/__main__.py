"""python -m benchmarks [NAME …]: times this package against its peers; docs/performance.md says how."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import description
from benchmarks.tables import fill_page, read_results
from xecgnet_jax.errors import ConfigError, XECGNetError
from xecgnet_jax.files import write_json

#: Name → what it measures; the module benchmarks.NAME has `run(setting)`, which yields tables.
BENCHMARKS: dict[str, str] = {
    "step": "one training step of the authors' network against PyTorch",
    "huge_pages": "the step again, with huge pages for memory",
    "inference": "the plain network, the collapsed one, and PyTorch",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:<12}{about}" for name, about in BENCHMARKS.items()),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which, see below; all by default")
    parser.add_argument("--quick", action="store_true", help="a smoke test with tiny sizes, whose numbers mean nothing")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file, too")
    parser.add_argument("--fill", type=Path, nargs=2, metavar=("JSON", "PAGE"), help="put results into a page")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.fill:
            fill_page(*chosen.fill)
        elif unknown := [name for name in chosen.names if name not in BENCHMARKS]:
            raise ConfigError(f"no benchmark {', '.join(unknown)}; possible: {', '.join(BENCHMARKS)}")
        else:
            measure(chosen.names or list(BENCHMARKS), chosen.quick, chosen.output)
    except XECGNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def measure(names: Sequence[str], quick: bool, output: Path | None) -> None:
    """Runs benchmarks one after another; the file grows with each, so that a stop loses the latest only."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # the peers run on the CPU; benchmarks.gpu measures GPUs
    from benchmarks.setting import Setting

    results: dict[str, Any] = {"machine": description(), "quick": quick, "benchmarks": {}}
    if output and output.exists():
        results["benchmarks"] = read_results(output)["benchmarks"]
    print("\n".join(f"{name}: {value}" for name, value in results["machine"].items()), flush=True)
    for name in names:
        tables = []
        for table in importlib.import_module(f"benchmarks.{name}").run(Setting(quick)):
            print(f"\n[{name}] {table.text()}", flush=True)
            tables.append(table.to_json())
        results["benchmarks"][name] = {"tables": tables}
        if output:
            write_json(output, results)


if __name__ == "__main__":
    sys.exit(main())
