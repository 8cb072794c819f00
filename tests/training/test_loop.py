"""Runs: a function of (config, data, seed, step), whatever happens to the process."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.data.planned import make_batch
from tests.learnable_corpus import CONFIG
from tests.training.of_runs import assert_same_bits, lines
from xecgnet_jax.config import OptimizerConfig
from xecgnet_jax.errors import ConfigError, DivergedError
from xecgnet_jax.evaluation.thresholds import best_f1, best_subset
from xecgnet_jax.runs.evaluate import evaluate
from xecgnet_jax.runs.load import load_run
from xecgnet_jax.training import loop
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.workdir import read_metrics


def test_it_learns(finished):
    records = read_metrics(finished)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    assert records[-1]["loss"] < records[0]["loss"]


@pytest.mark.ci
@pytest.mark.versions
def test_two_runs_with_one_seed_are_the_same_bits(dataset, finished, tmp_path):
    """The second by an engine of its own."""
    fit(CONFIG, dataset, tmp_path / "again", progress=False)
    assert_same_bits(finished, tmp_path / "again")


@pytest.mark.slow
def test_another_seed_is_another_run(dataset, engine, finished, tmp_path):
    fit(dataclasses.replace(CONFIG, seed=4), dataset, tmp_path / "other", progress=False, engine=engine)
    assert lines(tmp_path / "other")[0]["loss"] != lines(finished)[0]["loss"]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"rate": 250.0}, "was made with rate 500.0, the config of the run says 250.0"),
        ({"filter": (40.0,)}, "was made with filter"),
        ({"normalize_on": "none"}, "was made with normalize_on 'train'"),
        ({"test_folds": (2,), "validation_folds": (3,)}, "was made with validation_folds"),
        ({"classes": "ptbxl-rhythm"}, "was made with classes"),
    ],
)
def test_a_dataset_of_other_settings_is_refused(dataset, tmp_path, changed, problem):
    """From Python both are given: a run that says 250 Hz must not train on signals of 500 Hz."""
    config = dataclasses.replace(CONFIG, data=dataclasses.replace(CONFIG.data, **changed))
    with pytest.raises(ConfigError, match=problem):
        fit(config, dataset, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("changed", [{"batch_size": 5}, {"epochs": 2}, {"optimizer": OptimizerConfig()}])
def test_an_engine_of_other_settings_is_refused(dataset, engine, tmp_path, changed):
    with pytest.raises(ConfigError, match=f"the engine was made with other settings .*{next(iter(changed))}"):
        fit(dataclasses.replace(CONFIG, **changed), dataset, tmp_path / "run", progress=False, engine=engine)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(dataset, engine, tmp_path):
    config = dataclasses.replace(CONFIG, objective=dataclasses.replace(CONFIG.objective, gamma=3e38))
    with pytest.raises(DivergedError, match=r"the loss of step \d+ is not finite"):
        fit(config, dataset, tmp_path / "run", progress=False, engine=engine)


@pytest.mark.ci
def test_early_stopping(dataset, engine, tmp_path, monkeypatch):
    """Of four epochs the second is the best; the fourth is not made."""
    ordinary, given = loop.validate, iter([0.3, 0.5, 0.5])

    def planned(*arguments):
        metrics, *rest = ordinary(*arguments)
        return metrics | {"validation_micro_f1": next(given)}, *rest

    monkeypatch.setattr(loop, "validate", planned)
    best = fit(dataclasses.replace(CONFIG, patience=1), dataset, tmp_path / "run", progress=False, engine=engine)
    assert best["epoch"] == 2 and len(read_metrics(tmp_path / "run")) == 3
    assert load_run(tmp_path / "run").step == best["step"]


@pytest.mark.parametrize("best_by", ["macro_auroc", "subset_accuracy"])
def test_the_best_epoch_by_another_metric(dataset, engine, tmp_path, monkeypatch, best_by):
    """Micro F1 would choose the third epoch, of which none is kept; an undefined value is the lowest."""
    ordinary, given = loop.validate, iter([(None, 0.1), (0.8, 0.2), (0.7, 0.9), (0.7, 0.3)])

    def planned(*arguments):
        metrics, *rest = ordinary(*arguments)
        value, f1 = next(given)
        return metrics | {f"validation_{best_by}": value, "validation_micro_f1": f1}, *rest

    monkeypatch.setattr(loop, "validate", planned)
    config = dataclasses.replace(CONFIG, best_by=best_by)
    best = fit(config, dataset, tmp_path / "run", progress=False)
    assert best["epoch"] == 2 and load_run(tmp_path / "run").step == best["step"]


def test_macro_auroc_of_the_validation_part_as_in_scikit_learn(finished, dataset):
    record = max(read_metrics(finished), key=lambda record: record["validation_micro_f1"])
    labels = dataset.pack.labels[dataset.validation]
    probabilities = load_run(finished).predict_rows(dataset.pack, dataset.validation).probabilities
    both = labels.any(axis=0) & ~labels.all(axis=0)
    expected = [roc_auc_score(labels[:, c], probabilities[:, c]) for c in np.flatnonzero(both)]
    assert record["validation_macro_auroc"] == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_kept_weights_are_the_best_epochs(finished, dataset):
    """What a checkpoint restores predicts what training said of it."""
    run = load_run(finished)
    best = max(read_metrics(finished), key=lambda record: record["validation_micro_f1"])
    evaluate(finished, dataset.pack, name="small", part="validation", progress=False)
    metrics = json.loads((finished / "evaluation" / "small-validation" / "metrics.json").read_text())
    assert metrics["micro"]["f1"] == best["validation_micro_f1"]
    assert metrics["subset_accuracy"]["all"]["accuracy"] == best["validation_subset_accuracy"]
    assert run.step == best["step"]


def test_thresholds_are_those_of_the_validation_part(finished, dataset):
    """Chosen anew from the predictions of the validation part alone."""
    run = load_run(finished)
    labels = dataset.pack.labels[dataset.validation]
    probabilities = run.predict_rows(dataset.pack, dataset.validation).probabilities
    for choose in (best_f1, best_subset):
        expected = choose(labels, probabilities)
        np.testing.assert_allclose(run.thresholds(expected.name).values, expected.values, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(run.thresholds("0.5").values, np.full(9, 0.5))


def test_batches_do_not_depend_on_what_came_before(dataset):
    late = make_batch(CONFIG, dataset, 7)
    for step in range(3):
        make_batch(CONFIG, dataset, step)
    for one, other in zip(late, make_batch(CONFIG, dataset, 7), strict=True):
        np.testing.assert_array_equal(one, other)


SETTINGS = {
    "jax_enable_x64": True,
    "jax_threefry_partitionable": False,
    "jax_default_prng_impl": "rbg",
    "jax_numpy_dtype_promotion": "strict",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_the_process_change_no_bit(dataset, finished, tmp_path, name):
    before = getattr(jax.config, name)
    jax.config.update(name, SETTINGS[name])
    try:
        fit(CONFIG, dataset, tmp_path / "run", progress=False)
        run = load_run(tmp_path / "run")
        found = run.predict(np.zeros((600, 12)), maps=True)
    finally:
        jax.config.update(name, before)
    assert_same_bits(finished, tmp_path / "run")
    expected = load_run(finished).predict(np.zeros((600, 12)), maps=True)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    assert found.probabilities.dtype == found.maps.responses.dtype == np.float32


@pytest.mark.ci
def test_the_callback_is_called_once_an_epoch_across_resumes(dataset, engine, finished, tmp_path):
    """After the checkpoint lies on the disk; what it raises ends the run, and the epoch is not told again."""
    told = []

    def tell(record):
        steps = [int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir() if path.name.isdigit()]
        assert record["step"] in steps
        told.append(record["epoch"])
        if record["epoch"] in (2, 3):
            raise RuntimeError("the tracker is gone")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="the tracker is gone"):
            fit(CONFIG, dataset, tmp_path / "run", progress=False, on_epoch=tell, engine=engine)
    fit(CONFIG, dataset, tmp_path / "run", progress=False, on_epoch=tell, engine=engine)
    assert told == [1, 2, 3, 4]
    assert_same_bits(finished, tmp_path / "run")


@pytest.mark.slow
def test_a_profile_of_a_few_steps_is_written(dataset, engine, tmp_path):
    fit(CONFIG, dataset, tmp_path / "run", progress=False, profile=tmp_path / "profile", engine=engine)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_more_devices_than_there_are_are_refused(dataset, tmp_path):
    with pytest.raises(ConfigError, match=r"devices is 99; possible: 0 \(all\) to 1"):
        fit(CONFIG, dataset, tmp_path / "run", progress=False, devices=99)
    assert not (tmp_path / "run").exists()
