"""What `--missing-leads zero` costs: python -m studies.missing_leads --data PTB-XL

Predicts the recordings of a fold with all leads and with fewer, by a network that was trained with twelve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from studies.claim.study import run_script
from xecgnet_jax import load_run
from xecgnet_jax.cli.common import Folder, keep_compiled
from xecgnet_jax.data.dataset import pack_for
from xecgnet_jax.data.leads import LEADS, complete_leads
from xecgnet_jax.errors import CorpusError
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.scores import all_metrics
from xecgnet_jax.files import default_cache
from xecgnet_jax.runs.weights import DEFAULT

#: The leads that a recording has: all, the limbs (or I and II, from which the others follow), two of a Holter recorder,
#: one of a watch or a monitor.
CASES: dict[str, tuple[str, ...]] = {
    "12": LEADS,
    "6 (limb leads, or I and II)": LEADS[:6],
    "2 (II and V5)": ("II", "V5"),
    "1 (II)": ("II",),
    "1 (I)": ("I",),
}


@dataclass(frozen=True)
class Options:
    """Score a network on recordings that lack leads."""

    #: Folder of PTB-XL.
    data: Folder
    #: The network: a run, a folder of weights, or the name of weights of this package.
    run: Path = Path(DEFAULT)
    #: The fold that is predicted.
    fold: int = 8
    #: Where packs and compiled programs are kept.
    cache: Folder = field(default_factory=default_cache)


def main(options: Options) -> None:
    """Prints a table with a row for each number of leads."""
    keep_compiled(options.cache)
    run = load_run(options.run)
    pack = pack_for(options.data, options.cache, run.config.data).relabel(run.description.vocabulary)
    rows = np.flatnonzero(pack.folds == options.fold)
    if not len(rows):
        raise CorpusError(f"{options.data}: has no recordings in fold {options.fold}")
    labels = pack.labels[rows]
    print(f"{len(rows)} recordings of fold {options.fold}, {run.title}\n")
    print(
        "| Leads | Macro AUROC | Micro F1 | Subset accuracy | Label sets that stay |\n| --- | --- | --- | --- | --- |"
    )
    full = None
    for name, kept in CASES.items():
        probabilities = run.predict([without(pack.signal(row), kept) for row in rows.tolist()]).probabilities
        sets = apply_thresholds(probabilities)
        full = sets if full is None else full
        found = all_metrics(labels, probabilities, sets)
        same = (sets == full).all(axis=1).mean()
        print(
            f"| {name} | {found['macro_auroc'][0]:.3f} | {found['micro_f1'][0]:.3f} | "
            f"{found['subset_accuracy'][0, 0]:.3f} | {same:.3f} |"
        )


def without(signal: np.ndarray, kept: tuple[str, ...]) -> np.ndarray:
    """Returns a signal [T, 12] of which only some leads are known, completed as `predict --missing-leads zero` does."""
    leads, _, _ = complete_leads({lead: signal[:, LEADS.index(lead)] for lead in kept})
    return np.stack(list(leads.values()), axis=1)


if __name__ == "__main__":
    run_script(main, Options)
