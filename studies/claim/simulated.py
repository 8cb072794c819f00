"""The same question where no label is in doubt: python -m studies.claim.simulated

Simulates 4,000 recordings of 10 s to train, 500 to validate and 1,000 with two classes to test, and trains γ = 0 and
the match with five seeds. Killed, it goes on where it was.
"""

from __future__ import annotations

import dataclasses
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import wfdb

from studies.claim.run import result_of, write_result
from studies.claim.study import RESULTS, arm_config, pack_sets, run_script
from xecgnet_jax.cli.common import Folder, keep_compiled
from xecgnet_jax.config import Config
from xecgnet_jax.data.dataset import make_dataset, pack_for
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.parallel import available_cpus, map_in_processes
from xecgnet_jax.data.simulation.population import LABEL_SETS
from xecgnet_jax.data.simulation.recording import simulate_recording
from xecgnet_jax.files import default_cache, write_text
from xecgnet_jax.training.sweep import sweep

ARMS = ("zero", "match")
SEEDS = range(5)
#: Recordings of the folds 1 (training), 2 (validation) and 3 (test).
SIZES = (4000, 500, 1000)
SEED = 14


@dataclass(frozen=True)
class Options:
    """Make the simulated runs that are missing."""

    #: Where the recordings, packs and compiled programs are kept.
    cache: Folder = field(default_factory=default_cache)
    #: Folder of the runs' working directories.
    workdir: Folder = Path("runs/claim")


def simulated_config(arm: str, seed: int) -> Config:
    """Returns an arm's settings for the simulated folds."""
    config = arm_config(arm)
    data = dataclasses.replace(config.data, split="folds", train_folds=(1,), validation_folds=(2,), test_folds=(3,))
    return dataclasses.replace(config, data=data, seed=seed)


def result_file(arm: str, seed: int) -> Path:
    """Returns where a run's result is kept."""
    return RESULTS / f"simulated-{arm}-s{seed}.npz"


def make_corpus(folder: Path, sizes: tuple[int, int, int] = SIZES) -> Path:
    """Writes the recordings and their labels.csv, unless the folder is there; the tested ones have two classes."""
    if folder.exists():
        return folder
    pairs = {names: count for names, count in LABEL_SETS.items() if len(names) == 2}
    rng = np.random.default_rng(SEED)
    shares = np.array(list(pairs.values())) / sum(pairs.values())
    drawn = rng.choice(len(pairs), sizes[2], p=shares)
    fold = np.repeat((1, 2, 3), sizes).tolist()
    classes: list[frozenset[str] | None] = [None] * (sizes[0] + sizes[1])
    classes += [frozenset(list(pairs)[at]) for at in drawn]
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        unfinished = Path(temporary) / folder.name
        unfinished.mkdir()
        tasks = [(unfinished, at, wanted) for at, wanted in enumerate(classes)]
        with closing(map_in_processes(_write, tasks, available_cpus())) as written:
            lines = [f"{name},{labels},{fold[at]}" for at, (name, labels) in enumerate(written)]
        write_text(unfinished / "labels.csv", "\n".join(["id,labels,fold", *lines, ""]))
        unfinished.rename(folder)
    return folder


def _write(task: tuple[Path, int, frozenset[str] | None]) -> tuple[str, str]:
    """Simulates and writes one recording, and returns its name and labels."""
    folder, index, classes = task
    recording = simulate_recording(SEED, index, classes, duration_s=10.0)
    name = f"M{index:05d}"
    wfdb.wrsamp(
        name,
        fs=500,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        p_signal=recording.signal.astype(np.float64),
        fmt=["16"] * len(LEADS),
        write_dir=str(folder),
    )
    return name, ";".join(sorted(recording.classes))


def main(options: Options) -> None:
    """Simulates what is missing, trains what is missing, and writes a result for each run."""
    keep_compiled(options.cache)
    options.cache.mkdir(parents=True, exist_ok=True)
    folder = make_corpus(options.cache / f"simulated-claim-{SEED}")
    settings = simulated_config("zero", 0).data
    dataset = make_dataset(pack_for(folder, options.cache, settings), settings)
    for arm in ARMS:
        for seed in SEEDS:
            if result_file(arm, seed).exists():
                continue
            workdir = options.workdir / f"simulated-{arm}-s{seed}"
            sweep({workdir: simulated_config(arm, seed)}, dataset, progress=False)
            labels = pack_sets(dataset.pack.labels[dataset.test])
            write_result(result_file(arm, seed), **result_of(workdir, dataset), labels=labels)
            print(workdir.name, flush=True)


if __name__ == "__main__":
    run_script(main, Options)
