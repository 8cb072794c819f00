"""Several runs as one program: each ends as it would alone, whatever happens to the process or to the others."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from tests import learnable_corpus
from tests.training.test_loop import CONFIG, arrays, assert_same_bits
from xecgnet_jax.config import Config, ModelConfig
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.errors import CheckpointError, ConfigError, DivergedError
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training import loop
from xecgnet_jax.training.crew import Crew
from xecgnet_jax.training.journal import Journal
from xecgnet_jax.training.log import read_metrics
from xecgnet_jax.training.loop import train
from xecgnet_jax.training.programs import Programs
from xecgnet_jax.training.resident import ResidentData
from xecgnet_jax.training.sweep import members_of, sweep
from xecgnet_jax.training.workdir import read_config


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    corpus = learnable_corpus.write(folder / "corpus", recordings=36)
    return make_dataset(pack_of(corpus, folder / "pack", workers=1, progress=False), CONFIG.data)


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
    folder = tmp_path_factory.mktemp("swept")
    train(in_folder(folder, THREE), dataset, progress=False)
    return folder


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory) -> Path:
    """Two of them one after the other."""
    folder = tmp_path_factory.mktemp("alone")
    best = sweep(in_folder(folder, {name: THREE[name] for name in "ac"}), dataset, at_once=1, progress=False)
    assert [workdir.name for workdir in best] == ["a", "c"]
    return folder


@pytest.mark.parametrize("name", ["a", "c"])
def test_a_member_ends_as_it_would_alone(dataset, swept, alone, name):
    """Losses to rounding after the first epoch, to 1e-4 after four; probabilities of the last checkpoint to 2e-3.

    Weights are not compared: the gradient of a bias before a batch normalization is rounding and nothing else, and
    Adam makes whole steps of it.
    """
    left, right = read_metrics(swept / name), read_metrics(alone / name)
    assert [record.keys() for record in left] == [record.keys() for record in right]
    for epoch, (mine, theirs) in enumerate(zip(left, right, strict=True)):
        for loss in ("loss", "attention_loss", "perception_loss", "alignment"):
            assert mine[loss] == pytest.approx(theirs[loss], rel=1e-6 if epoch == 0 else 1e-4), loss
        assert mine["learning_rate"] == theirs["learning_rate"]
        assert mine["validation_micro_f1"] == pytest.approx(theirs["validation_micro_f1"], abs=0.03)
    runs = [load_run(folder / name / "checkpoints" / "12") for folder in (swept, alone)]
    found = [run.predict_rows(dataset.pack, np.arange(36)).probabilities for run in runs]
    assert found[0].std(axis=0).max() > 0.02
    np.testing.assert_allclose(*found, rtol=0, atol=2e-3)
    files = [{path.name for path in folder.iterdir()} for folder in (swept / name, alone / name)]
    assert files[0] == files[1]
    for file in ("config.json", "data.json", "split.csv"):
        assert (swept / name / file).read_text() == (alone / name / file).read_text()


def test_members_are_told_apart_by_seed_and_gamma(swept):
    """γ = 2 weighs what γ = 0 does not look at."""
    last = {name: read_metrics(swept / name)[-1] for name in THREE}
    for name, config in THREE.items():
        assert read_config(swept / name) == config
        record = last[name]
        expected = record["attention_loss"] + record["perception_loss"]
        assert record["loss"] == pytest.approx(expected + 2 * config.objective.gamma * record["alignment"], rel=1e-4)
    assert last["c"]["alignment"] < last["b"]["alignment"]


def test_a_member_is_a_run_like_any(swept, dataset):
    """What its best checkpoint predicts is what training said; its thresholds are there."""
    run = load_run(swept / "b")
    best = max(read_metrics(swept / "b"), key=lambda record: record["validation_micro_f1"])
    evaluate(swept / "b", dataset.pack, name="small", part="validation", progress=False)
    metrics = json.loads((swept / "b" / "evaluation" / "small-validation" / "metrics.json").read_text())
    assert metrics["micro"]["f1"] == pytest.approx(best["validation_micro_f1"], abs=0.02)
    assert run.step == best["step"]
    assert run.thresholds("best-f1").values.shape == (9,)


def test_a_sweep_that_was_killed_goes_on_with_the_same_bits(dataset, swept, tmp_path, monkeypatch):
    """Killed between the checkpoints of the second epoch: one member is an epoch ahead. On the host's data, too."""
    ordinary = Journal.end_epoch

    def killed(self, state, record, thresholds):
        ordinary(self, state, record, thresholds)
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Journal, "end_epoch", killed)
        train(in_folder(tmp_path, THREE), dataset, progress=False, data_on="host")
    assert [len(read_metrics(tmp_path / name)) for name in THREE] == [2, 1, 1]
    monkeypatch.setattr(loop, "LOOK_UP_SECONDS", 0)
    train(in_folder(tmp_path, THREE), dataset, progress=False, data_on="host")
    for name in THREE:
        assert_same_bits(swept / name, tmp_path / name)


def test_each_member_stops_by_itself_and_leaves(dataset, tmp_path, monkeypatch):
    """Those that are done wait; a smaller program takes over when it pays."""
    sizes = []
    ordinary = Crew.__init__

    def counted(self, runs, *given, **named):
        sizes.append([run.name for run in runs])
        ordinary(self, runs, *given, **named)

    monkeypatch.setattr(Crew, "__init__", counted)
    members = {name: member(seed, 0.01, patience=1) for seed, name in enumerate(("early", "soon", "late"))}
    folder = in_folder(tmp_path, members)
    given = iter([0.5, 0.1, 0.1, 0.4, 0.2, 0.2, 0.1, 0.4, 0.5])
    figures = loop.figures

    def planned(dataset, probabilities):
        summary, thresholds = figures(dataset, probabilities)
        return summary | {"validation_micro_f1": next(given)}, thresholds

    monkeypatch.setattr(loop, "figures", planned)
    best = train(folder, dataset, progress=False)
    # The first epoch brings 0.5, 0.1, 0.1; the second 0.4 (it stops), 0.2, 0.2; the third 0.1 (it stops), 0.4.
    assert [len(read_metrics(workdir)) for workdir in folder] == [2, 3, 4]
    assert [record["epoch"] for record in best] == [1, 2, 4]
    assert sizes == [["early", "soon", "late"], ["late"]]


def test_a_member_that_diverges_leaves_and_is_named(dataset, swept, tmp_path):
    """γ so large that its loss is not finite; the others end as if it had not been there."""
    members = in_folder(tmp_path, THREE | {"b": member(4, 3e38)})
    with pytest.raises(DivergedError, match=r"b: the loss of step \d+ is not finite"):
        train(members, dataset, progress=False)
    for name in ("a", "c"):
        assert_same_bits(swept / name, tmp_path / name)


def test_finished_members_are_not_made_again(dataset, swept):
    before = arrays(swept / "a")
    best = train(in_folder(swept, THREE), dataset, progress=False)
    assert [record["validation_micro_f1"] for record in best] == [
        max(record["validation_micro_f1"] for record in read_metrics(swept / name)) for name in THREE
    ]
    assert before.keys() == arrays(swept / "a").keys()


def test_members_of_seeds_and_gammas(tmp_path):
    members = members_of(CONFIG, (0, 7), (0, 0.01, 1e-5), tmp_path)
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
        members_of(CONFIG, (), (0.0,), tmp_path)
    with pytest.raises(ConfigError, match="seeds has 3 twice"):
        members_of(CONFIG, (3, 3), (0.0,), tmp_path)
    with pytest.raises(ConfigError, match=r"gammas has 0\.0 twice"):
        members_of(CONFIG, (3,), (0.0, 0.0), tmp_path)
    with pytest.raises(ConfigError, match=r"gamma is -1\.0"):
        members_of(CONFIG, (3,), (-1.0,), tmp_path)
    plain = member(0, 0.0, model=ModelConfig(width=0.0625, attention=False))
    with pytest.raises(ConfigError, match="give --gammas 0 with --no-attention"):
        members_of(plain, (0,), (0.0, 0.1), tmp_path)
    assert len(members_of(plain, (0, 1), (0.0,), tmp_path)) == 2
    (tmp_path / "seed3-gamma0").symlink_to(swept / "a")
    with pytest.raises(CheckpointError, match="another config"):
        members_of(CONFIG, (3,), (0.0,), tmp_path)


def test_members_take_no_part_in_each_other(swept):
    one, other = arrays(swept / "a"), arrays(swept / "b")
    leaves = [name for name in one if "kernel" in name and name in other]
    assert len(leaves) > 20
    assert all(np.any(one[name] != other[name]) for name in leaves)


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 2])
def test_the_program_of_accelerators_makes_the_same_steps(tmp_path, dataset, together):
    """Steps in a loop and members on an axis, against a step a call and members in turn. On CPUs it takes minutes."""
    small = dataclasses.replace(CONFIG.data, window="crop", length=243)
    configs = [member(seed, gamma, data=small) for seed, gamma in ((3, 0.01), (4, 2.0))][:together]
    losses = {}
    for batched in (False, True):
        programs = Programs(configs[0], dataset, jax.local_devices()[:1], batched=batched)
        runs = [Journal(one, dataset, tmp_path / f"{batched}{number}") for number, one in enumerate(configs)]
        for run in runs:
            run.open(programs)
        crew = Crew(runs, programs, ResidentData(programs, dataset), resident=True)
        crew.advance(runs, 1)
        crew.advance(runs, 2)
        losses[batched] = [[float(value) for value in run.losses.sums.values()] for run in runs]
        for run in runs:
            run.close()
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-3)
