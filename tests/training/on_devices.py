"""What tests/training/test_devices.py runs in processes with several devices; prints one line of JSON."""

import dataclasses
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType

from tests import learnable_corpus
from xecgnet_jax.config import Config, DataConfig, ModelConfig, OptimizerConfig
from xecgnet_jax.data.batches import cut_counts, to_batch
from xecgnet_jax.data.dataset import Dataset, make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.data.windows import Plan
from xecgnet_jax.errors import ConfigError
from xecgnet_jax.model import apply_merged
from xecgnet_jax.training import hosts
from xecgnet_jax.training.engine import Engine, Inputs
from xecgnet_jax.training.feed import Feed
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.objective import objective
from xecgnet_jax.training.step import zero_metrics
from xecgnet_jax.training.sweep import make_member_program

CONFIG = Config(
    model=ModelConfig(width=0.01, activation="relu"),
    data=DataConfig(split="folds", train_folds=(1,), validation_folds=(2,), test_folds=(3,), seconds=1.458),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    batch_size=6,
    epochs=2,
    patience=0,
)
LINEAR = dataclasses.replace(
    CONFIG,
    model=ModelConfig(width=0.0625),
    data=dataclasses.replace(CONFIG.data, window="crop", seconds=0.5),
)


def small_dataset(folder: Path) -> Dataset:
    corpus = learnable_corpus.write(folder / "corpus", recordings=48)
    return make_dataset(pack_of(corpus, folder / "pack", workers=1, progress=False), CONFIG.data)


def first_inputs(engine: Engine, dataset: Dataset) -> Inputs:
    return next(iter(Feed(engine, dataset).rest_of_epoch(0, 0)))


def largest_difference(one, other) -> float:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return max(float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0)) for a, b in pairs)


def one_step(dataset: Dataset) -> dict:
    found = {}
    for devices in (1, 2, 8):
        engine = Engine(LINEAR, dataset, jax.local_devices()[:devices])
        inputs = first_inputs(engine, dataset)
        plan = Plan(*(value[0] for value in inputs.plans))

        def batch_of(inputs, plan, engine=engine):
            counts = cut_counts(inputs.source, plan, engine.samples)
            return engine.share(to_batch(engine.share(counts), plan, inputs.table, masked=False))

        def loss(params, statistics, inputs, plan, engine=engine, batch_of=batch_of):
            batch = batch_of(inputs, plan)
            variables = {"params": params, "batch_stats": statistics}
            return objective(apply_merged(engine.model, variables, batch.signal)[0], batch.labels)[0]

        variables = engine.init(0).variables
        gradients = jax.jit(jax.value_and_grad(loss))(variables["params"], variables["batch_stats"], inputs, plan)
        found[devices] = jax.device_get((jax.jit(batch_of)(inputs, plan), gradients))
    (batch, (loss_of_one, gradient)) = found[1]
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(gradient))
    return {"batches_are_equal": all(largest_difference(found[n][0], batch) == 0 for n in (2, 8))} | {
        str(n): {
            "loss": abs(float(found[n][1][0] - loss_of_one)),
            "gradient": largest_difference(found[n][1][1], gradient) / scale,
        }
        for n in (2, 8)
    }


#: Configs whose first steps are made in float64, at a rate so low that steps do not make rounding grow.
DOUBLE = {
    name: dataclasses.replace(config, epochs=10, optimizer=dataclasses.replace(config.optimizer, learning_rate=1e-5))
    for name, config in (("masked", CONFIG), ("linear", LINEAR))
}


def after_twenty_steps(config: Config, dataset: Dataset, devices: list[jax.Device]) -> list[np.ndarray]:
    """Variables and sums of metrics after 20 steps in float64."""
    engine = Engine(config, dataset, devices)
    double = partial(jax.tree.map, lambda leaf: leaf.astype("f8") if leaf.dtype == "f4" else leaf)
    state = engine.place(double(jax.device_get(engine.init(0))))
    feed = Feed(engine, dataset)
    table = engine.table._replace(
        **{name: engine.place(double(jax.device_get(getattr(engine.table, name)))) for name in ("scale", "shift")}
    )
    metrics, step = engine.place(double(zero_metrics({}))), 0
    while step < 20:
        for inputs in feed.rest_of_epoch(0, step):
            inputs = inputs._replace(table=table)
            state, metrics = engine.step(state, metrics, inputs, np.uint32(0), np.float64(0.01))
            step += 1
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.variables)} == {"float64"}
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.device_get((state.variables, metrics.sums)))]


def twenty_steps(dataset: Dataset) -> dict:
    found: dict = {}
    for kind, config in DOUBLE.items():
        states = {n: after_twenty_steps(config, dataset, jax.local_devices()[:n]) for n in (1, 2, 8)}
        found[kind] = {str(n): largest_difference(states[n], states[1]) for n in (2, 8)}
    return found


def twenty_steps_together(dataset: Dataset, kind: str, file: str, *where: str) -> dict:
    """One of several processes, COORDINATOR PROCESSES PROCESS: the first writes the arrays. Without them: one alone."""
    if where:
        hosts.join(where[0], int(where[1]), int(where[2]))
    arrays = after_twenty_steps(DOUBLE[kind], dataset, jax.devices())
    if hosts.is_first():
        np.savez(file, *arrays)
    hosts.gather(0)
    return {"devices": len(jax.devices())}


def fit_on_two(dataset: Dataset, folder: str) -> dict:
    losses, devices = [], []
    for number in (1, 2):
        workdir = Path(folder) / str(number)
        losses.append(fit(CONFIG, dataset, workdir, progress=False, devices=number)["loss"])
        devices.append(json.loads((workdir / "environment.json").read_text())["versions"]["devices"])
    try:
        fit(CONFIG, dataset, Path(folder) / "9", progress=False, devices=9)
    except ConfigError as error:
        refused = str(error)
    return {"losses": losses, "devices": devices, "refused": refused}


def members(dataset: Dataset) -> dict:
    """Largest errors of 1×1 convolutions with a kernel a member, and of a step of the member program."""
    rng = np.random.default_rng(0)
    x, kernels = rng.standard_normal((8, 4, 20, 16)), rng.standard_normal((8, 1, 16, 8))
    mesh = jax.make_mesh((4,), ("member",), (AxisType.Auto,), devices=jax.local_devices()[:4])
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1,), padding="SAME")
    each = jax.vmap(partial(convolve, dimension_numbers=("NWC", "WIO", "NWC")))
    specs = jax.P("member")
    shared = jax.jit(jax.shard_map(each, mesh=mesh, in_specs=(specs, specs), out_specs=specs, check_vma=False))
    expected = np.einsum("mbtf,mfg->mbtg", x, kernels[:, 0])
    result = {"shard_map": largest_difference(shared(jnp.float32(x), jnp.float32(kernels)), expected)}

    config = dataclasses.replace(
        CONFIG,
        model=ModelConfig(width=0.01, activation="relu"),
        data=dataclasses.replace(CONFIG.data, window="crop", seconds=0.486),
    )
    engine = Engine(config, dataset, jax.local_devices()[:1])
    seeds, gammas = np.arange(4, dtype=np.uint32), np.float32([0, 0.01, 1, 2])
    inputs = first_inputs(engine, dataset)
    copies = lambda tree: jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), jax.device_get(tree))  # noqa: E731
    states = jax.tree.map(
        lambda *leaves: jnp.stack(leaves), *[jax.device_get(engine.init(int(seed))) for seed in seeds]
    )
    program = make_member_program(engine, dataset, mesh)
    _, together = program(states, copies(zero_metrics({})), copies(inputs.plans), seeds, gammas, np.ones(4, bool))
    alone = []
    for seed, gamma in zip(seeds, gammas, strict=True):
        _, metrics = engine.step(engine.init(int(seed)), engine.place(zero_metrics({})), inputs, seed, gamma)
        alone.append([float(metrics.sums[name]) for name in sorted(metrics.sums)])
    found = np.stack([np.asarray(together.sums[name]) for name in sorted(together.sums)], axis=1)
    return result | {"step": float(np.max(np.abs(found - alone) / (1 + np.abs(alone))))}


if __name__ == "__main__":
    jax.config.update("jax_numpy_rank_promotion", "raise")
    with tempfile.TemporaryDirectory() as folder:
        function = {f.__name__: f for f in (one_step, twenty_steps, twenty_steps_together, fit_on_two, members)}[
            sys.argv[1]
        ]
        print(json.dumps(function(small_dataset(Path(folder)), *sys.argv[2:])))
