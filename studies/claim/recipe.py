"""Chooses the recipe: python -m studies.claim.recipe --data PTB-XL

Each candidate trains γ = 0 and the match on rotation 1. What decides is the mean of their micro F1 on the validation
recordings with at most one of the classes; recordings with several are not scored.
"""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np

from studies.claim.run import Options
from studies.claim.study import HERE, arm_config, dataset_of, rotate, run_script, share_of
from xecgnet_jax import load_run
from xecgnet_jax.cli.common import keep_compiled
from xecgnet_jax.data.dataset import pack_for
from xecgnet_jax.evaluation.metrics import apply_thresholds, summarize
from xecgnet_jax.files import write_json
from xecgnet_jax.training.sweep import sweep

LEARNING_RATES = (1e-3, 3e-3)
EPOCHS = (10, 15)
FILE = HERE / "recipe.json"


def main(options: Options) -> None:
    """Trains the candidates, and prints and keeps what they reach."""
    keep_compiled(options.cache)
    pack = pack_for(options.data, options.cache, arm_config("zero").data)
    reached: list[dict[str, float | None]] = []
    candidates = list(product(EPOCHS, LEARNING_RATES, ("zero", "match")))
    for epochs, rate, arm in share_of(candidates, options.share):
        config = rotate(arm_config(arm), 1)
        optimizer = dataclasses.replace(config.optimizer, learning_rate=rate)
        config = dataclasses.replace(config, epochs=epochs, optimizer=optimizer)
        dataset = dataset_of(pack, config)
        workdir = options.workdir / f"recipe-{arm}-{epochs}-{rate:g}"
        sweep({workdir: config}, dataset, progress=False)
        rows = dataset.validation[dataset.pack.labels[dataset.validation].sum(axis=1) < 2]
        run = load_run(workdir)
        found = run.predict_rows(dataset.pack, rows).probabilities
        f1 = summarize(np.asarray(dataset.pack.labels[rows]), apply_thresholds(found))["micro_f1"]
        print(f"{epochs} epochs, learning rate {rate:g}, {arm}: {f1:.4f}, step {run.step}", flush=True)
        reached.append({"epochs": epochs, "learning_rate": rate, "gamma": config.objective.gamma, "micro_f1": f1})
    if len(reached) == len(candidates):
        write_json(FILE, {"reached": reached})


if __name__ == "__main__":
    run_script(main, Options)
