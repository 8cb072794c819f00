"""Makes the runs of the study that are missing: python -m studies.claim.run --data PTB-XL

Kill it and start it again as often as needed: a run goes on where it was, and one whose result is there is not made
again. Several processes share the work: --share 1/2 and --share 2/2.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from studies.claim.study import (
    ARMS,
    ROTATIONS,
    StudyRun,
    dataset_of,
    is_ranked,
    keep_recordings,
    pack_sets,
    planned,
    ranks,
    run_script,
    share_of,
)
from xecgnet_jax import load_run
from xecgnet_jax.cli.common import Folder, keep_compiled
from xecgnet_jax.data.dataset import Dataset, pack_for
from xecgnet_jax.data.windows import window_spec
from xecgnet_jax.evaluation.inference import predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.files import default_cache, write_bytes
from xecgnet_jax.model import Outputs, XECGNet, apply_collapsed, collapse, probabilities
from xecgnet_jax.runs.load import Run
from xecgnet_jax.training.checkpoint import FOLDER
from xecgnet_jax.training.sweep import sweep
from xecgnet_jax.training.workdir import read_metrics


@dataclass(frozen=True)
class Options:
    """Make the runs that are missing."""

    #: Folder of PTB-XL, with its recordings at 100 Hz.
    data: Folder
    #: Where packs and compiled programs are kept.
    cache: Folder = field(default_factory=default_cache)
    #: Folder of the runs' working directories.
    workdir: Folder = Path("runs/claim")
    #: Only these arms.
    arms: tuple[str, ...] = tuple(ARMS)
    #: Only these rotations.
    rotations: tuple[int, ...] = ROTATIONS
    #: Which share of the runs, of how many: 1/2 and 2/2 in two processes.
    share: str = "1/1"


def main(options: Options) -> None:
    """Trains what is missing, and writes a result for each run."""
    keep_compiled(options.cache)
    missing = [
        run
        for run in share_of(planned(), options.share)
        if run.arm in options.arms and run.rotation in options.rotations and not run.result.exists()
    ]
    print(f"{len(missing)} runs to make", flush=True)
    pack = pack_for(options.data, options.cache, planned()[0].config.data)
    keep_recordings(pack)
    together = jax.default_backend() != "cpu"
    for _, group in groupby(missing, key=_shared if together else lambda run: run):
        runs = list(group)
        dataset = dataset_of(pack, runs[0].config, ARMS[runs[0].arm].share)
        members = {options.workdir / run.name: run.config for run in runs}
        sweep(members, dataset, progress=False)
        for run, workdir in zip(runs, members, strict=True):
            write_result(run.result, **result_of(workdir, dataset))
            print(run.name, flush=True)


def _shared(run: StudyRun) -> Any:
    """Returns what runs that are trained in one program have in common: all but seed and γ."""
    config = run.config
    return replace(config, seed=0, objective=replace(config.objective, gamma=0.0)), ARMS[run.arm].share


def result_of(workdir: Path, dataset: Dataset) -> dict[str, Any]:
    """Returns the arrays of `study.read_result`, and "about": what the run reached, epoch by epoch, and on what."""
    pack, rows = dataset.pack, dataset.test
    labels, best = pack.labels[rows], load_run(workdir)
    last = max(int(path.name) for path in (workdir / FOLDER).iterdir() if path.name.isdigit())
    both, perception, attention = np.split(predict_heads(best, dataset, rows), 3, axis=1)
    at_end = predict_heads(load_run(workdir / FOLDER / str(last)), dataset, rows)[:, : labels.shape[1]]
    variants = np.stack([both, perception, attention, at_end])
    environment = json.loads((workdir / "environment.json").read_text(encoding="utf-8"))
    epochs = read_metrics(workdir)
    about = {
        "recordings": {name: len(getattr(dataset, name)) for name in ("train", "validation", "test")},
        "best_epoch": next(one["epoch"] for one in epochs if one["step"] == best.step),
        "seconds": sum(one["seconds"] + one["validation_seconds"] for one in epochs),
        "epochs": epochs,
        "environment": environment,
    }
    return {
        "sets": pack_sets(apply_thresholds(variants)),
        "ranked": np.stack([is_ranked(labels, one) for one in variants]),
        "ranks": ranks(both),
        "about": np.array(json.dumps(about)),
    }


def predict_heads(run: Run, dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    """Returns the probabilities [R, 3C] of both heads together, the perception head and the attention head."""
    pack, numbers = dataset.pack, rows.tolist()
    return predict_recordings(
        partial(_heads, run.model),
        collapse(run.model, run.variables).variables,
        lambda at: pack.signal(numbers[at]),
        pack.lengths[rows],
        spec=window_spec(run.config),
        normalization=run.normalization,
    ).probabilities


@partial(jax.jit, static_argnums=0)  # here, so that runs of one network share what is compiled
def _heads(
    model: XECGNet, variables: Any, signal: jax.Array, bins: jax.Array | None, repeat: Any
) -> tuple[jax.Array, Outputs]:
    outputs = apply_collapsed(model, variables, signal, train=False, bins=bins, repeat=repeat)
    perception = jax.nn.sigmoid(outputs.perception_logits)
    attention = perception if outputs.attention_logits is None else jax.nn.sigmoid(outputs.attention_logits)
    return jnp.concatenate([probabilities(outputs), perception, attention], axis=1), outputs


def write_result(path: Path, **arrays: Any) -> None:
    """Writes arrays to a compressed file, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


if __name__ == "__main__":
    run_script(main, Options)
