"""A run and a corpus → the recordings of a part of it, as the run was trained on it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from xecgnet_jax.data.dataset import choose_split, split_fingerprint
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.splits import Split, read_split
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.runs.load import Run
from xecgnet_jax.training.workdir import SPLIT

#: "auto" is the test part of the run's own corpus, all recordings of any other.
Part = Literal["auto", "train", "validation", "test", "all"]


def select_part(run: Run, pack: Pack, part: Part) -> tuple[Part, np.ndarray]:
    """Returns the part that is meant, and its rows of the pack [R].

    Raises:
      CheckpointError: other classes, a part that the corpus does not have, or one without recordings.
    """
    if pack.classes != run.classes:
        raise CheckpointError(
            f"{run.workdir}: its classes are {', '.join(run.classes)}; the corpus has {', '.join(pack.classes)}"
        )
    own = pack.fingerprint == run.data.get("fingerprint")
    split = _read_split(run)
    if split is None and own:
        split = choose_split(pack, run.config.data)
    if part == "auto":
        if not own and split is not None and (known := set(split.train) & set(pack.ids)):
            raise CheckpointError(
                f"{len(known)} recordings of this corpus have names of the run's training part, but the corpus is not "
                "the one it was trained on, or has changed since; give --part all to score all of it nevertheless"
            )
        part = "test" if own else "all"
    if part == "all":
        rows = np.arange(len(pack))
    elif not own:
        raise CheckpointError(
            f"--part {part}: this corpus is not the one the run was trained on, so it has no such part; give --part all"
        )
    elif split is None or split_fingerprint(split) != run.data["split"]:
        raise CheckpointError(f"{run.workdir / SPLIT} has changed since the training; restore it, or give --part all")
    else:
        rows = pack.select(getattr(split, part))
    if run.config.data.unlabeled == "drop":
        rows = rows[pack.labels[rows].any(axis=1)]
    if not len(rows):
        raise CheckpointError(f"the {part} part of this corpus has no recording to score; give another --part")
    return part, rows


def count_trained_on(run: Run, ids: tuple[str, ...]) -> int:
    """Returns how many of these recordings have names of the run's training part."""
    split = _read_split(run)
    return 0 if split is None else len(set(ids) & set(split.train))


def _read_split(run: Run) -> Split | None:
    path = run.workdir / SPLIT
    return read_split(path) if path.exists() else None
