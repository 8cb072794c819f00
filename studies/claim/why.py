"""What the added term does while it trains: python -m studies.claim.why --data PTB-XL

Trains rotation 1, seed 0, for several γ, and looks at the network after each epoch. Killed, it goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from studies.claim.run import Options
from studies.claim.study import HERE, StudyRun, dataset_of, run_script
from xecgnet_jax import load_run
from xecgnet_jax.cli.common import keep_compiled
from xecgnet_jax.data.dataset import Dataset, pack_for
from xecgnet_jax.data.windows import window_spec
from xecgnet_jax.evaluation.inference import gather_windows
from xecgnet_jax.files import write_json
from xecgnet_jax.model import XECGNet
from xecgnet_jax.training import loop
from xecgnet_jax.training.checkpoint import FOLDER
from xecgnet_jax.training.objective import alignment, objective, reference_map
from xecgnet_jax.training.progress import Record

ARMS = ("zero", "paper", "match", "tenth", "one")
FILE = HERE / "why.json"
#: Recordings of the training part that are looked at, in batches of the size that the arms train with.
LOOKED_AT = 256


def measure(model: XECGNet, variables: Mapping[str, Any], signal: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    """Returns what docs/claim.md tells of a batch [B, T, 12] with labels [B, C], in training mode, for γ = 1.

    "term" and "classification": the norm of each one's gradient, in the "backbone" and the "attention" branch;
    "losses" of both; "within": the attention map's standard deviation within a recording; "level": the share of the
    squared distance between the maps that the difference of their averages makes.
    """

    def forward(params: Any) -> Any:
        whole = {"params": params, "batch_stats": variables["batch_stats"]}
        return model.apply(whole, signal, train=True, mutable=["batch_stats"])[0]

    def term(params: Any) -> jax.Array:
        return 2 * jnp.mean(alignment(forward(params), labels))

    def classification(params: Any) -> jax.Array:
        return objective(forward(params), labels, gamma=0.0)[0]

    found = {}
    for name, loss in (("term", term), ("classification", classification)):
        value, gradient = jax.value_and_grad(loss)(variables["params"])
        found[f"{name}_loss"] = value
        for part in ("backbone", "attention_branch"):
            found[f"{name}_{part}"] = optax.tree.norm(gradient[part])
    outputs = forward(variables["params"])
    difference = reference_map(outputs.responses, labels) - outputs.attention
    level = difference.shape[1] * jnp.square(jnp.mean(difference, axis=1))
    found["within"] = jnp.mean(jnp.std(outputs.attention, axis=1))
    found["level"] = jnp.mean(level / jnp.sum(jnp.square(difference), axis=1))
    return found


#: Compiled once, not at each epoch.
_measured = jax.jit(measure, static_argnums=0)


def look_at(workdir: Path, dataset: Dataset, record: Record) -> dict[str, float]:
    """Returns `measure` of the checkpoint of an epoch, the means over some recordings of the training part."""
    run = load_run(workdir / FOLDER / str(record["step"]))
    pack, spec, size = dataset.pack, window_spec(run.config), run.config.batch_size
    samples = spec.samples_per_bin * int(spec.whole_bins(pack.lengths[dataset.train[0]]))
    rows = dataset.train[:: max(1, len(dataset.train) // LOOKED_AT)][:LOOKED_AT]
    found = []
    for first in range(0, len(rows) - size + 1, size):
        batch = rows[first : first + size]
        starts = spec.whole_starts(pack.lengths[batch])
        signal = gather_windows(pack.signal, batch, starts, samples, run.normalization)
        labels = pack.labels[batch].astype(np.float32)
        found.append(jax.device_get(_measured(run.model, run.variables, jnp.asarray(signal), jnp.asarray(labels))))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def main(options: Options) -> None:
    """Trains the arms, and keeps what is seen after each epoch."""
    keep_compiled(options.cache)
    seen: dict[str, list[dict[str, float]]] = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for arm in ARMS:
        config = StudyRun(1, arm, 0).config
        dataset = dataset_of(pack_for(options.data, options.cache, config.data), config)
        workdir = options.workdir / f"why-{arm}"
        epochs = seen.setdefault(arm, [])

        def look(record: Record, workdir: Path = workdir, dataset: Dataset = dataset, epochs: Any = epochs) -> None:
            del epochs[record["epoch"] - 1 :]
            epochs.append(look_at(workdir, dataset, record))
            write_json(FILE, seen)

        loop.fit(config, dataset, workdir, on_epoch=look, progress=False)
        print(arm, flush=True)


if __name__ == "__main__":
    run_script(main, Options)
