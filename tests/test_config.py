"""Settings: what is possible, what is refused, and the way through JSON and back."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xecgnet_jax.config import (
    PRESETS,
    Config,
    DataConfig,
    ModelConfig,
    ObjectiveConfig,
    OptimizerConfig,
    differences,
    from_dict,
    preset,
    read_config_file,
    to_dict,
    window_length,
)
from xecgnet_jax.data.signals import signal_spec
from xecgnet_jax.errors import ConfigError


def through_json(config):
    return from_dict(json.loads(json.dumps(to_dict(config), allow_nan=False)))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_through_json_and_back(name):
    config = preset(name)
    assert through_json(config) == config
    assert hash(through_json(config)) == hash(config)
    assert differences(config, through_json(config)) == []


def test_an_unknown_preset_is_refused_with_the_possible_ones():
    with pytest.raises(ConfigError, match=r"'papr'.*quick, fast, large, paper-pad, paper-crop"):
        preset("papr")


def test_the_paper_presets_are_the_authors_settings():
    for name, window, samples in (("paper-pad", "pad", 72_000), ("paper-crop", "crop", 2_880)):
        config = preset(name)
        assert (config.data.window, window_length(config)) == (window, samples)
        assert config.model == ModelConfig(width=1.0, attention_head="gap", activation="none", attention=True)
        objective = config.objective
        assert (objective.gamma, objective.reference, objective.norm) == (0.01, "all_classes", "l2")
        assert (objective.term, objective.reference_gradient, objective.loss) == ("both_heads", True, "bce")
        assert objective.pos_weight_power == 0
        optimizer = config.optimizer
        assert (optimizer.optimizer, optimizer.learning_rate, optimizer.epsilon) == ("adam", 1e-5, 1e-7)
        assert (optimizer.schedule, optimizer.warmup_epochs, optimizer.weight_decay) == ("constant", 0, 0)
        assert (optimizer.clip_norm, optimizer.ema_decay) == (0, 0)
        assert (config.batch_size, config.epochs, config.patience) == (32, 1000, 50)
        assert (config.data.augment, config.data.normalize_on) == (0, "all")


def test_window_lengths():
    assert window_length(Config(data=DataConfig(window="whole"))) == 62 * 243 == 15_066
    assert window_length(Config(data=DataConfig(window="crop", seconds=1.0))) == 500


def replaced(path, value):
    """The default config as a dictionary with one value replaced."""
    values = to_dict(Config())
    node = values
    *parents, last = path.split(".")
    for parent in parents:
        node = node[parent]
    node[last] = value
    return values


IMPOSSIBLE = [
    ("model.width", 0.0, "above 0 and at most 16"),
    ("model.width", 17.0, "above 0 and at most 16"),
    ("model.attention_head", "mlp", "gap, conv"),
    ("model.activation", "gelu", "none, relu"),
    ("objective.gamma", -0.1, "0 or more"),
    ("objective.reference", "true", "all_classes, true_classes"),
    ("objective.norm", "l3", "l2, l2_squared, l1"),
    ("objective.term", "twice", "both_heads, once"),
    ("objective.loss", "mse", "bce, asymmetric"),
    ("objective.asl_gamma_negative", -1.0, "0 or more"),
    ("objective.asl_gamma_positive", -1.0, "0 or more"),
    ("objective.asl_clip", 1.0, "from 0 to below 1"),
    ("objective.pos_weight_power", 1.5, "from 0 to 1"),
    ("objective.pos_weight_limit", 0.5, "1 or more"),
    ("data.split", "random", "auto, paper, folds, stratified, file"),
    ("data.split", "file", "split_file.*CSV"),
    ("data.window", "slide", "crop, pad, whole"),
    ("data.rate", 50.0, "64 to 10000 Hz"),
    ("data.over_windows", "max", "mean without --window crop"),
    ("data.window_step", 1.0, "with --window crop only"),
    ("data.seconds", -1.0, "0 .* to 3600"),
    ("model.pools", (3, 3, 3, 3), "five whole numbers"),
    ("data.normalize_on", "test", "train, all, none"),
    ("data.unlabeled", "guess", "keep, drop"),
    ("data.augment", 3.5, "from 0 to 3"),
    ("optimizer.optimizer", "sgd", "adam, adamw"),
    ("optimizer.schedule", "step", "constant, cosine"),
    ("optimizer.learning_rate", 0.0, "above 0"),
    ("optimizer.warmup_epochs", -1.0, "0 or more"),
    ("optimizer.weight_decay", -1.0, "0 or more"),
    ("optimizer.weight_decay", 0.1, "adamw decays"),
    ("optimizer.epsilon", 0.0, "above 0"),
    ("optimizer.clip_norm", -1.0, "no limit"),
    ("optimizer.ema_decay", 1.0, "below 1"),
    ("batch_size", 0, "1 or more"),
    ("best_by", "loss", "micro_f1, subset_accuracy, macro_auroc"),
    ("epochs", 0, "1 or more"),
    ("patience", -1, "never stop early"),
    ("seed", -1, "2,147,483,647"),
    ("seed", 2**31, "2,147,483,647"),
]


@pytest.mark.parametrize(("path", "value", "possible"), IMPOSSIBLE)
def test_an_impossible_value_is_refused_with_what_is_possible(path, value, possible):
    with pytest.raises(ConfigError, match=possible) as error:
        from_dict(replaced(path, value))
    assert path.split(".")[-1].removesuffix("_file") in str(error.value)
    assert "possible: " in str(error.value)


FLOATS = [
    f"{part.name}.{field.name}"
    for part in dataclasses.fields(Config)
    if dataclasses.is_dataclass(getattr(Config(), part.name))
    for field in dataclasses.fields(getattr(Config(), part.name))
    if field.type == "float"
]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**400], ids=["inf", "-inf", "nan", "huge"])
@pytest.mark.parametrize("path", FLOATS)
def test_numbers_must_be_finite(path, value):
    with pytest.raises(ConfigError, match=path.split(".")[-1]):
        from_dict(replaced(path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("batch_size", 32.0),
        ("batch_size", True),
        ("batch_size", "32"),
        ("seed", None),
        ("model", "small"),
        ("model", None),
        ("model.width", "1"),
        ("model.width", True),
        ("model.attention", 1),
        ("model.attention_head", ["gap"]),
        ("objective.norm", 2),
        ("data.split_file", None),
        ("data.train_folds", 3),
        ("data.train_folds", [1, 2.0]),
        ("data.train_folds", ["1"]),
        ("data.train_folds", [True]),
    ],
)
def test_a_value_of_another_type_is_refused(path, value):
    with pytest.raises(ConfigError, match=path.split(".")[-1] + r".*possible: "):
        from_dict(replaced(path, value))


def test_whole_numbers_may_stand_for_floats_and_lists_for_folds():
    config = from_dict(replaced("objective.gamma", 1))
    assert config.objective.gamma == 1.0
    assert type(config.objective.gamma) is float
    assert from_dict(replaced("data.train_folds", [1, 2])).data.train_folds == (1, 2)


def paths(values, before=""):
    for name, value in values.items():
        yield before + name
        if isinstance(value, dict):
            yield from paths(value, f"{before}{name}.")


PATHS = list(paths(to_dict(Config())))


def test_a_run_older_than_a_setting_did_what_it_does():
    values = to_dict(Config())
    del values["model"]["dtype"], values["model"]["matmul_precision"]
    assert from_dict(values).model.dtype == "float32"
    assert from_dict(values).model.matmul_precision == "default"


def test_names_of_older_versions_are_read():
    """A config.json as version 0.1.0 wrote it, whole; both names of one setting are refused."""
    values = to_dict(preset("fast"))
    values["optimiser"] = values.pop("optimizer")
    renamed = {
        "model": {"dtype": "compute"},
        "objective": {
            "asl_gamma_negative": "focus_negative",
            "asl_gamma_positive": "focus_positive",
            "asl_clip": "margin",
            "pos_weight_power": "positive_power",
            "pos_weight_limit": "positive_limit",
        },
        "data": {"normalize_on": "standardise_on", "unlabeled": "unlabelled"},
        "optimiser": {"optimizer": "optimiser", "ema_decay": "average"},
    }
    for part, names in renamed.items():
        for new, old in names.items():
            values[part][old] = values[part].pop(new)
    assert from_dict(values) == preset("fast")
    values["data"]["unlabeled"] = "keep"
    with pytest.raises(ConfigError, match=r"unknown setting data\.unlabelled"):
        from_dict(values)


#: Settings that runs of older versions do not name.
ADDED = {
    *("model.dtype", "model.matmul_precision", "model.pools", "data.rate", "data.rate_of_files", "data.filter"),
    *(
        "data.classes",
        "data.min_likelihood",
        "data.sample_weights",
        "data.over_windows",
        "data.window_step",
        "best_by",
        "init",
        "freeze",
    ),
}


@pytest.mark.parametrize("path", sorted({*PATHS} - ADDED))
def test_a_missing_setting_is_named(path):
    values = to_dict(Config())
    node = values
    *parents, last = path.split(".")
    for parent in parents:
        node = node[parent]
    del node[last]
    with pytest.raises(ConfigError, match=f"{path} is missing"):
        from_dict(values)


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"objective\.gama; possible: gamma, reference, norm"):
        from_dict(replaced("objective.gama", 0.1))
    with pytest.raises(ConfigError, match=r"unknown setting lr; possible: model, objective"):
        from_dict(replaced("lr", 0.1))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@settings(max_examples=300)
@given(st.sampled_from(PATHS), JSON)
def test_whatever_a_file_holds_is_a_config_or_a_config_error(path, value):
    values = replaced(path, value)
    before = copy.deepcopy(values)
    try:
        config = from_dict(values)
    except ConfigError:
        return
    finally:
        assert repr(values) == repr(before)
    assert through_json(config) == config


@given(JSON)
def test_what_is_no_table_of_settings_is_refused(value):
    with pytest.raises(ConfigError):
        from_dict(value)


def test_gamma_needs_the_attention_branch():
    with pytest.raises(ConfigError, match="--gamma 0"):
        Config(model=ModelConfig(attention=False))
    plain = Config(model=ModelConfig(attention=False), objective=ObjectiveConfig(gamma=0.0))
    assert through_json(plain) == plain


def test_configs_made_in_code_are_checked_too():
    with pytest.raises(ConfigError, match="epochs is 0"):
        Config(epochs=0)
    with pytest.raises(ConfigError, match="learning_rate"):
        dataclasses.replace(Config(), optimizer=OptimizerConfig(learning_rate=-1.0))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (DataConfig, {"split": "fold"}),
        (DataConfig, {"normalize_on": "trian"}),
        (DataConfig, {"rate": -1}),
        (ModelConfig, {"pools": [3, 3]}),
        (ModelConfig, {"attention": False, "attention_head": "conv"}),
        (ObjectiveConfig, {"asl_clip": 0.1}),
        (OptimizerConfig, {"learning_rate": "1e-3"}),
        (Config, {"batch_size": 2.5}),
        (Config, {"freeze": "backbone"}),
    ],
)
def test_each_part_is_checked_when_it_is_made(kind, values):
    """`open_corpus` takes a DataConfig alone."""
    with pytest.raises(ConfigError, match=f"{[*values][-1]} is .*possible: "):
        kind(**values)


def test_settings_made_in_code_have_the_types_of_those_from_files():
    """Equal settings are equal in a hash, in JSON and as a static argument, whatever numbers they were made of."""
    made = Config(
        model=ModelConfig(width=1, pools=[3, 3, 3, 3, 3]),
        objective=ObjectiveConfig(gamma=np.float32(0.5)),
        data=DataConfig(rate=100, filter=[1, 40], train_folds=[1, 2]),
        seed=np.int64(3),
    )
    assert repr(made) == repr(through_json(made)) and hash(made) == hash(through_json(made))
    assert json.dumps(signal_spec(made.data)) == "[100.0, [1.0, 40.0]]"


def test_differences_name_both_values():
    other = dataclasses.replace(
        Config(), seed=3, objective=ObjectiveConfig(gamma=0.1), data=DataConfig(test_folds=(9, 10))
    )
    assert differences(Config(), other) == [
        "objective.gamma: 0.01 → 0.1",
        "data.test_folds: [10] → [9, 10]",
        "seed: 0 → 3",
    ]


@pytest.mark.parametrize("path", [path for path in PATHS if "." in path or path in ("batch_size", "epochs", "seed")])
def test_every_setting_counts_in_the_differences(path):
    """Whatever could change a run's numbers is seen when the run is taken up again."""
    part, _, name = path.rpartition(".")
    owner = getattr(Config(), part) if part else Config()
    value = getattr(owner, name)
    changed = object.__new__(type(owner))  # past the checks: any other value will do
    for field in dataclasses.fields(owner):
        object.__setattr__(changed, field.name, getattr(owner, field.name))
    object.__setattr__(changed, name, f"not {value}")
    other = changed
    if part:
        other = object.__new__(Config)
        for field in dataclasses.fields(Config):
            object.__setattr__(other, field.name, changed if field.name == part else getattr(Config(), field.name))
    assert [line.split(":")[0] for line in differences(Config(), other)] == [path]


@pytest.mark.parametrize("suffix", [".json", ".toml"])
def test_a_file_that_is_nested_too_deep_is_refused(tmp_path, suffix):
    path = tmp_path / f"deep{suffix}"
    path.write_text(("" if suffix == ".json" else "a = ") + "[" * 200_000)
    with pytest.raises(ConfigError, match=f"deep.{suffix[1:]} is not valid"):
        read_config_file(path, None)
