"""Fine-tuning: what of other weights is taken, what stays frozen, and what is refused."""

import dataclasses
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import commands as cli
from tests.learnable_corpus import CONFIG, WORDS
from xecgnet_jax import load_run
from xecgnet_jax.cli.train import with_network_of
from xecgnet_jax.config import Config, preset
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.labels import CPSC2018, Vocabulary, read_vocabulary
from xecgnet_jax.data.splits import read_people
from xecgnet_jax.errors import CheckpointError, ConfigError
from xecgnet_jax.model import XECGNet, apply_frozen
from xecgnet_jax.runs.fit import fit, initial_weights
from xecgnet_jax.runs.predictions import kept_split, made_with, predict_part, rows_of
from xecgnet_jax.training.engine import Engine
from xecgnet_jax.training.initial import Initial, transfer
from xecgnet_jax.training.state import init_variables

pytestmark = pytest.mark.ci

WIDTH = 0.0625


def named(variables) -> dict[str, np.ndarray]:
    paths = jax.tree.leaves_with_path(variables)
    return {"/".join(str(key.key) for key in path): np.asarray(leaf) for path, leaf in paths}


def other_classes(number: int) -> Vocabulary:
    return dataclasses.replace(CPSC2018, systems=CPSC2018.systems[::-1][:number])


@pytest.fixture(scope="module")
def source() -> Initial:
    variables = init_variables(XECGNet(width=WIDTH, attention_head="conv"), seed=1)
    return Initial("weights mine", "0123", CPSC2018, jax.tree.map(lambda leaf: leaf + 1, variables))


def check(drawn, found, source, expected_drawn) -> None:
    before, after, given = named(drawn), named(found.variables), named(source.variables)
    assert set(found.taken) | set(found.drawn) == set(before) and not set(found.taken) & set(found.drawn)
    assert {name for name in before if any(layer in name for layer in expected_drawn)} == set(found.drawn)
    for name in found.taken:
        np.testing.assert_array_equal(after[name], given[name])
    for name in found.drawn:
        np.testing.assert_array_equal(after[name], before[name])


CLASSES = ("attention_branch/responses/", "attention_branch/head/", "attention_branch/attention", "dense_1/")


@pytest.mark.parametrize("number", [9, 5])
def test_a_head_of_other_classes_is_drawn_anew_also_where_their_number_is_the_same(source, number):
    drawn = init_variables(XECGNet(number, width=WIDTH, attention_head="conv"), seed=2)
    found = transfer(drawn, source, other_classes(number))
    check(drawn, found, source, CLASSES)
    summary = found.summary(source.source)
    assert "taken from weights mine" in summary and "attention_branch, backbone, perception_branch" in summary
    assert "drawn anew: attention_branch/attention_norm, " in summary and "perception_branch/dense_1" in summary


def test_of_the_same_classes_all_is_taken(source):
    drawn = init_variables(XECGNet(width=WIDTH, attention_head="conv"), seed=2)
    found = transfer(drawn, source, CPSC2018)
    check(drawn, found, source, ())
    assert found.summary("x").endswith("drawn anew: nothing")


def test_a_layer_that_the_weights_lack_is_drawn(source):
    plain = Initial(*source[:3], init_variables(XECGNet(width=WIDTH, attention=False), seed=1))
    drawn = init_variables(XECGNet(width=WIDTH, attention_head="conv"), seed=2)
    check(drawn, transfer(drawn, plain, CPSC2018), plain, ("attention_branch/",))


def test_a_frozen_part_must_be_taken_whole(source):
    kernel = source.variables["params"]["backbone"]["conv_5"] | {"kernel": jnp.zeros((3, 4, 4))}
    backbone = source.variables["params"]["backbone"] | {"conv_5": kernel}
    other = {**source.variables, "params": {**source.variables["params"], "backbone": backbone}}
    drawn = init_variables(XECGNet(width=WIDTH, attention_head="conv"), seed=2)
    found = transfer(drawn, source._replace(variables=other), CPSC2018)
    assert found.drawn == ("params/backbone/conv_5/kernel",)
    with pytest.raises(ConfigError, match="freeze backbone: 1 arrays of it, such as params/backbone/conv_5/kernel"):
        transfer(drawn, source._replace(variables=other), CPSC2018, frozen="backbone")


def test_recordings_that_the_weights_know_are_told(finished, dataset, tmp_path, capsys):
    """Trained on fold 1 and stopped on 2; here fold 1 is the test part."""
    data = dataclasses.replace(CONFIG.data, train_folds=(3,), validation_folds=(2,), test_folds=(1,))
    other = make_dataset(dataset.pack, data)
    assert initial_weights(tuned(init=str(finished), data=data), other, [tmp_path]) is not None
    said = capsys.readouterr().err
    assert "12 recordings of the test part" in said and "12 recordings of the validation part" in said
    initial_weights(tuned(init=str(finished)), dataset, [tmp_path])
    assert "of the test part" not in capsys.readouterr().err


def test_a_fine_tuned_run_remembers_what_its_weights_knew(finished, dataset, tmp_path):
    """Trained on fold 1 and stopped on 2; tuned on fold 3: no recording of its corpus is unseen, saved or not."""
    data = dataclasses.replace(CONFIG.data, train_folds=(3,), validation_folds=(2,), test_folds=(1,))
    tuned_on = make_dataset(dataset.pack, data)
    run = fit(tuned(init=str(finished), data=data), tuned_on, tmp_path / "run", progress=False)
    known = read_people(run.initial_file)
    assert set(known) == {*dataset.split.train, *dataset.split.validation}
    assert set(known.values()) == {dataset.patients()[name] if dataset.pack.kind == "ptbxl" else "" for name in known}
    run.save_pretrained(tmp_path / "weights", split=True)
    for one in (run, load_run(tmp_path / "weights")):
        seen = rows_of(made_with(one, kept_split(one))[1], dataset.pack)
        assert set(seen) == {*dataset.train, *dataset.validation, *tuned_on.train}


def test_the_command_says_which_settings_it_takes_from_weights(capsys):
    own = preset("fast")
    taken = with_network_of("xecgnet-cpsc2018", own)
    assert taken.model == preset("large").model and taken.data.rate == 100
    said = capsys.readouterr().err
    assert "as the weights of xecgnet-cpsc2018 have it: model.attention_head: gap → conv, model.pools: " in said
    assert with_network_of("xecgnet-cpsc2018", taken) == taken and not capsys.readouterr().err


def test_weights_of_another_width_are_refused(source):
    with pytest.raises(ConfigError, match="nothing of the backbone of weights mine fits"):
        transfer(init_variables(XECGNet(width=0.125), seed=2), source, CPSC2018)


def test_a_frozen_backbone_computes_as_in_inference_and_learns_nothing():
    model = XECGNet(width=WIDTH, activation="relu")
    variables = jax.tree.map(lambda leaf: leaf + 0.1, init_variables(model, seed=1))
    signal = jax.random.normal(jax.random.key(0), (3, 2 * 243, 12))
    bins = jnp.array([2, 1, 2], jnp.int32)
    for one, other in zip(
        jax.jit(partial(apply_frozen, model, train=False))(variables, signal, bins=bins),
        jax.jit(partial(model.apply, train=False))(variables, signal, bins=bins),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    def loss(params):
        outputs, updated = apply_frozen(
            model, variables | {"params": params}, signal, train=True, bins=bins, mutable=["batch_stats"]
        )
        return jnp.sum(outputs.perception_logits**2) + jnp.sum(outputs.attention_logits**2), updated["batch_stats"]

    gradient, statistics = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradient["backbone"]))
    assert all(np.any(leaf) for leaf in jax.tree.leaves(gradient["perception_branch"]["dense_0"]))
    for name, leaf in named(statistics).items():
        assert np.array_equal(leaf, named(variables["batch_stats"])[name]) == name.startswith("backbone"), name


def tuned(**changes) -> Config:
    return dataclasses.replace(CONFIG, epochs=1, **changes)


def test_each_run_begins_with_the_weights(finished, dataset, tmp_path):
    """Steps give the buffers of their state away: the weights must outlive them, for the next run of a sweep."""
    run, config = load_run(finished), tuned(init=str(finished))
    engine = Engine(config, dataset, jax.local_devices()[:1], initial_weights(config, dataset, [tmp_path]))
    give_away = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    for seed in range(2):
        state = engine.init(seed)
        for tree in (state.variables, state.ema):
            for one, other in zip(jax.tree.leaves(tree), jax.tree.leaves(run.variables), strict=True):
                np.testing.assert_array_equal(one, other)
        assert int(state.step) == 0 and not any(np.any(leaf) for leaf in jax.tree.leaves(state.optimizer))
        jax.block_until_ready(give_away(state))
    with pytest.raises(ConfigError, match="the config names weights to begin with"):
        Engine(config, dataset, jax.local_devices()[:1]).init(0)


def test_a_frozen_backbone_ends_as_it_began_and_the_run_needs_its_weights_no_more(finished, dataset, tmp_path, capsys):
    run, weights = load_run(finished), tmp_path / "weights"
    run.save_pretrained(weights)
    config = tuned(init=str(weights), freeze="backbone")
    after = fit(config, dataset, tmp_path / "run", progress=False)
    assert f"taken from weights {weights}" in capsys.readouterr().err
    before, found = named(run.variables), named(after.variables)
    for name, value in found.items():
        if "/backbone/" in name:
            np.testing.assert_allclose(value, before[name], rtol=1e-6, err_msg=name)  # an average of equal values
    assert any(not np.array_equal(value, before[name]) for name, value in found.items() if "/perception" in name)
    held = json.loads((tmp_path / "run" / "init.json").read_text())
    assert set(held["taken"]) == set(found) and held["drawn"] == []
    assert after.data["init"] == run.digest()
    with pytest.raises(CheckpointError, match="do not say which recordings they were made with"):
        predict_part(after, dataset, part="unseen", progress=False)
    (weights / "model.safetensors").unlink()  # read at the beginning only
    again = fit(config, dataset, tmp_path / "run", progress=False)
    assert again.digest() == after.digest()


def test_weights_for_other_signals_are_refused(finished, dataset, tmp_path):
    config = tuned(init=str(finished))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, rate=250.0))
    with pytest.raises(ConfigError, match=r"these weights are for .*500.*the settings say .*250"):
        fit(config, dataset, tmp_path / "run", progress=False)
    config = tuned(init=str(finished), model=dataclasses.replace(CONFIG.model, activation="relu"))
    with pytest.raises(ConfigError, match="these weights were trained with activation none, not relu"):
        fit(config, dataset, tmp_path / "run", progress=False)
    with pytest.raises(ConfigError, match="possible: none without weights to begin with"):
        tuned(freeze="backbone")


@pytest.mark.slow
def test_the_command_takes_network_and_rate_of_the_weights(finished, corpus, tmp_path, capsys):
    """The preset has another width, head and rate; classes are others, too."""
    vocabulary = tmp_path / "two.csv"
    vocabulary.write_text("class,code\nfibrillation,AF\nblock,RBBB\n")
    words = [word for word in WORDS if word not in ("--width", "0.0625", "--activation", "none")]
    words[words.index("--epochs") + 1] = "1"
    words += ["--data", str(corpus), "--cache", str(tmp_path / "cache"), "--classes", str(vocabulary), "--no-progress"]
    words += ["--init", str(finished), "--freeze", "backbone", "--workdir", str(tmp_path / "run")]
    assert cli.train(words) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    assert "drawn anew: attention_branch/attention" in printed.err
    run = load_run(tmp_path / "run")
    assert run.model.width == WIDTH and run.classes == read_vocabulary(str(vocabulary)).classes
    name = "params/backbone/conv_3/kernel"
    np.testing.assert_allclose(named(run.variables)[name], named(load_run(finished).variables)[name], rtol=1e-6)
