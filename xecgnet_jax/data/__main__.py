"""`python -m xecgnet_jax.data FOLDER`: describes a corpus, its classes, and all codes that stand for none of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from xecgnet_jax.data.corpora import read_corpus
from xecgnet_jax.data.labels import count_codes
from xecgnet_jax.errors import XECGNetError


def main(arguments: list[str] | None = None) -> int:
    """Prints kind, size, patients and folds of a corpus, and how many recordings have each class and unmapped code."""
    parser = argparse.ArgumentParser(prog="python -m xecgnet_jax.data", description=__doc__)
    parser.add_argument("folder", type=Path, help="the corpus")
    folder = parser.parse_args(arguments).folder
    try:
        corpus = read_corpus(folder)
    except XECGNetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    classes, unmapped = count_codes(entry.codes for entry in corpus.entries)
    patients = {entry.patient for entry in corpus.entries} - {None}
    folds = sorted({entry.fold for entry in corpus.entries if entry.fold is not None})
    print(f"{folder}: {corpus.kind}, {len(corpus.entries)} recordings")
    print(f"patients: {len(patients) or 'not told'}; folds: {' '.join(map(str, folds)) or 'none'}")
    for title, counts in (("classes", classes), (f"codes of no class ({len(unmapped)})", unmapped)):
        print(f"{title}:", *(f"  {name:<24}{count:>8}" for name, count in counts.items()), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
