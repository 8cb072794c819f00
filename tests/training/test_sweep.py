"""Sweeps: each member ends as it would alone, one after another or as one program, whatever happens on the way."""

import dataclasses
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.learnable_corpus import CONFIG
from tests.training.of_runs import arrays, assert_same_bits
from xecgnet_jax.config import Config, ModelConfig
from xecgnet_jax.errors import CheckpointError, ConfigError, DivergedError
from xecgnet_jax.training import loop
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.sweep import make_members, sweep
from xecgnet_jax.training.workdir import RunDirectory, read_config, read_metrics

pytestmark = pytest.mark.ci


def member(seed: int, gamma: float, **changes) -> Config:
    return dataclasses.replace(
        CONFIG, seed=seed, objective=dataclasses.replace(CONFIG.objective, gamma=gamma), **changes
    )


#: Always three, so that one compiled program serves all tests.
THREE = {"a": member(3, 0.01), "b": member(4, 0.0), "c": member(5, 2.0)}


def in_folder(folder: Path, members: dict[str, Config]) -> dict[Path, Config]:
    return {folder / name: config for name, config in members.items()}


@pytest.fixture(scope="module")
def swept(dataset, tmp_path_factory) -> Path:
    """Three members, one after another."""
    folder = tmp_path_factory.mktemp("swept")
    best = sweep(in_folder(folder, THREE), dataset, progress=False)
    assert [workdir.name for workdir in best] == list(THREE)
    return folder


def test_a_member_is_the_run_alone(dataset, engine, swept, tmp_path):
    fit(THREE["c"], dataset, tmp_path / "c", progress=False, engine=engine)
    assert_same_bits(swept / "c", tmp_path / "c")
    for file in ("config.json", "data.json", "split.csv"):
        assert (swept / "c" / file).read_text() == (tmp_path / "c" / file).read_text()


@pytest.mark.slow
def test_the_second_member_compiles_nothing(dataset, tmp_path):
    """Counted by JAX itself, while the second member's folder is there."""
    members = in_folder(tmp_path, {name: THREE[name] for name in "ab"})
    first, second = (0, 0)

    def note(event: str, seconds: float, **_) -> None:
        nonlocal first, second
        if event == "/jax/core/compile/backend_compile_duration":
            first, second = (first, second + 1) if (tmp_path / "b").exists() else (first + 1, second)

    jax.clear_caches()
    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        sweep(members, dataset, progress=False)
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert first > 3 and second == 0


def test_members_are_told_apart_by_seed_and_gamma(swept):
    """γ = 2 weighs what γ = 0 does not look at."""
    last = {name: read_metrics(swept / name)[-1] for name in THREE}
    for name, config in THREE.items():
        assert read_config(swept / name) == config
        record = last[name]
        expected = record["attention_loss"] + record["perception_loss"]
        assert record["loss"] == pytest.approx(expected + 2 * config.objective.gamma * record["alignment"], rel=1e-4)
    assert last["c"]["alignment"] < last["b"]["alignment"]


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_with_the_same_bits(dataset, swept, tmp_path, monkeypatch):
    """Killed after the second epoch of the second member; on the host's data, too."""
    ordinary = RunDirectory.commit

    def killed(self, state, progress, record, *rest):
        ordinary(self, state, progress, record, *rest)
        if self.name == "b" and record["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunDirectory, "commit", killed)
        sweep(in_folder(tmp_path, THREE), dataset, progress=False, data_on="host")
    assert [len(read_metrics(tmp_path / name)) for name in THREE] == [4, 2, 0]
    sweep(in_folder(tmp_path, THREE), dataset, progress=False, data_on="host")
    for name in THREE:
        assert_same_bits(swept / name, tmp_path / name)


@pytest.mark.slow
def test_a_member_that_diverges_leaves_and_is_named(dataset, swept, tmp_path):
    """γ so large that its loss is not finite; the others end as if it had not been there."""
    members = in_folder(tmp_path, THREE | {"b": member(4, 3e38)})
    with pytest.raises(DivergedError, match=r"b: the loss of step \d+ is not finite"):
        sweep(members, dataset, progress=False)
    for name in ("a", "c"):
        assert_same_bits(swept / name, tmp_path / name)


def test_finished_members_are_not_made_again(dataset, swept):
    before = arrays(swept / "a")
    best = sweep(in_folder(swept, THREE), dataset, progress=False)
    assert [record["validation_micro_f1"] for record in best.values()] == [
        max(record["validation_micro_f1"] for record in read_metrics(swept / name)) for name in THREE
    ]
    assert before.keys() == arrays(swept / "a").keys()


def test_members_of_seeds_and_gammas(tmp_path):
    members = make_members(CONFIG, (0, 7), (0, 0.01, 1e-5), tmp_path)
    assert [path.name for path in members] == [
        "seed0-gamma0",
        "seed7-gamma0",
        "seed0-gamma0.01",
        "seed7-gamma0.01",
        "seed0-gamma1e-05",
        "seed7-gamma1e-05",
    ]
    assert members[tmp_path / "seed7-gamma0.01"] == member(7, 0.01)


def test_what_no_sweep_can_be(swept, tmp_path):
    with pytest.raises(ConfigError, match="seeds is empty"):
        make_members(CONFIG, (), (0.0,), tmp_path)
    with pytest.raises(ConfigError, match="seeds has 3 twice"):
        make_members(CONFIG, (3, 3), (0.0,), tmp_path)
    with pytest.raises(ConfigError, match=r"gammas has 0\.0 twice"):
        make_members(CONFIG, (3,), (0.0, 0.0), tmp_path)
    with pytest.raises(ConfigError, match=r"gamma is -1\.0"):
        make_members(CONFIG, (3,), (-1.0,), tmp_path)
    plain = member(0, 0.0, model=ModelConfig(width=0.0625, attention=False))
    with pytest.raises(ConfigError, match="give --gammas 0 with --no-attention"):
        make_members(plain, (0,), (0.0, 0.1), tmp_path)
    assert len(make_members(plain, (0, 1), (0.0,), tmp_path)) == 2
    (tmp_path / "seed3-gamma0").symlink_to(swept / "a")
    with pytest.raises(CheckpointError, match="another config"):
        make_members(CONFIG, (3,), (0.0,), tmp_path)


def test_members_take_no_part_in_each_other(swept):
    one, other = arrays(swept / "a"), arrays(swept / "b")
    leaves = [name for name in one if "kernel" in name and name in other]
    assert len(leaves) > 20
    assert all(np.any(one[name] != other[name]) for name in leaves)


#: One convolution group of the smallest network: XLA's CPU compiler takes minutes for vmapped kernel gradients.
TINY = dataclasses.replace(
    CONFIG,
    model=ModelConfig(width=0.01, activation="relu"),
    data=dataclasses.replace(CONFIG.data, window="crop", seconds=0.486, augment=0.0),
    optimizer=dataclasses.replace(CONFIG.optimizer, learning_rate=1e-4),
    epochs=3,
)


def tiny(seed: int, gamma: float, **changes) -> Config:
    return dataclasses.replace(TINY, seed=seed, objective=dataclasses.replace(TINY.objective, gamma=gamma), **changes)


def assert_close(one: Path, other: Path) -> None:
    """Losses to rounding after the first epoch, to 1e-3 after the others; the same files and epochs."""
    left, right = read_metrics(one), read_metrics(other)
    assert [record.keys() for record in left] == [record.keys() for record in right] and left
    for mine, theirs in zip(left, right, strict=True):
        for name in ("loss", "attention_loss", "perception_loss", "alignment"):
            assert mine[name] == pytest.approx(theirs[name], rel=1e-5 if mine["epoch"] == 1 else 1e-3), name
        assert mine["learning_rate"] == theirs["learning_rate"]
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}


@pytest.fixture(scope="module")
def tiny_alone(dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    members = {"a": tiny(3, 0.01), "b": tiny(4, 2.0), "c": tiny(5, 0.0)}
    sweep(in_folder(folder, members), dataset, progress=False, together=False)
    return folder


@pytest.mark.slow
def test_members_together_end_as_alone(dataset, tiny_alone, tmp_path, monkeypatch):
    """The program of accelerators. One diverges, one was an epoch ahead; killed in between and gone on with."""
    members = {"a": tiny(3, 0.01), "b": tiny(4, 2.0), "c": tiny(5, 0.0), "d": tiny(6, 3e38)}
    shutil.copytree(tiny_alone / "a", tmp_path / "finished")
    ordinary = RunDirectory.commit

    def killed(self, state, progress, record, *rest):
        ordinary(self, state, progress, record, *rest)
        if self.name == "a" and record["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunDirectory, "commit", killed)
        sweep(in_folder(tmp_path, members), dataset, progress=False, together=True)
    assert [len(read_metrics(tmp_path / name)) for name in members] == [2, 1, 1, 0]
    with pytest.raises(DivergedError, match=r"d: the loss of step \d+ is not finite") as error:
        sweep(in_folder(tmp_path, members), dataset, progress=False, together=True)
    assert str(error.value).count("not finite") == 1
    for name in "abc":
        assert_close(tmp_path / name, tiny_alone / name)


@pytest.mark.slow
def test_each_member_together_stops_by_itself_and_leaves(dataset, tmp_path, monkeypatch):
    """Those that are done wait; a smaller program takes over when it pays."""
    given = iter([0.5, 0.1, 0.1, 0.4, 0.2, 0.2, 0.1, 0.4, 0.5])
    ordinary = loop.validate

    def planned(*arguments):
        metrics, *rest = ordinary(*arguments)
        return metrics | {"validation_micro_f1": next(given)}, *rest

    monkeypatch.setattr(loop, "validate", planned)
    names = ("early", "soon", "late")
    members = {name: tiny(seed, 0.01, patience=1, epochs=4) for seed, name in enumerate(names)}
    best = sweep(in_folder(tmp_path, members), dataset, progress=False, together=True)
    # The first epoch brings 0.5, 0.1, 0.1; the second 0.4 (it stops), 0.2, 0.2; the third 0.1 (it stops), 0.4.
    assert [len(read_metrics(tmp_path / name)) for name in names] == [2, 3, 4]
    assert [record["epoch"] for record in best.values()] == [1, 2, 4]
