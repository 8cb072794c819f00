"""`python -m xecgnet_jax.data FOLDER`: describes a corpus, its classes, and all codes that stand for none of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.labels import count_codes
from xecgnet_jax.errors import XECGNetError


def describe(folder: Path) -> str:
    """Returns kind, size, patients, folds of a corpus, and how many recordings have each class and unmapped code."""
    corpus = read_corpus(folder)
    entries = corpus.entries
    classes, unmapped = count_codes(entry.codes for entry in entries)
    patients = {entry.patient for entry in entries if entry.patient is not None}
    folds = sorted({entry.fold for entry in entries if entry.fold is not None})
    lines = [
        f"{folder}: {corpus.kind}, {len(entries)} recordings",
        f"patients: {len(patients) or 'not told'}; folds: {' '.join(map(str, folds)) or 'none'}",
        "classes:",
        *(f"  {name:<24}{count:>8}" for name, count in classes.items()),
        f"codes of no class ({len(unmapped)}):",
        *(f"  {code:<24}{count:>8}" for code, count in unmapped.items()),
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m xecgnet_jax.data", description=__doc__)
    parser.add_argument("folder", type=Path, help="the corpus")
    try:
        print(describe(parser.parse_args(arguments).folder))
    except XECGNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
