"""A run's settings: frozen dataclasses, presets, files, validation. Standard library only."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import numbers
import tomllib
import types
import typing
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xecgnet_jax.errors import ConfigError

#: Samples that an attention bin stands for at most: a recording is filled up to whole ones.
LARGEST_BIN = 10_000
#: Seconds that `seconds` of 0 stands for; crop and pad as in the paper, 2,880 and 72,000 samples at 500 Hz.
DEFAULT_SECONDS = {"crop": 5.76, "pad": 144.0, "whole": 30.132}
#: Hz; below it, heartbeats (5 to 30 Hz) can no longer be looked for.
LOWEST_RATE = 64
#: What must hold, the name of a setting, its value, and what is possible.
Rule = tuple[bool, str, Any, str]


class _Settings(ABC):
    """Settings have the types that are stated, and only possible values, however they were made."""

    def __post_init__(self) -> None:
        """Makes floats of whole numbers and tuples of lists; raises ConfigError for the first impossible value."""
        for name, hint in typing.get_type_hints(type(self)).items():
            value = _value(hint, getattr(self, name), name)
            if hint is float and not math.isfinite(value):
                raise ConfigError(f"{name} is {value!r}; possible: a finite number")
            object.__setattr__(self, name, value)
        for fine, name, value, possible in self._rules():
            if not fine:
                raise ConfigError(f"{name} is {value!r}; possible: {possible}")

    @abstractmethod
    def _rules(self) -> list[Rule]:
        """Returns what must hold."""


@dataclass(frozen=True)
class ModelConfig(_Settings):
    #: Multiplies the number of features of every layer but the maps.
    width: float = 1.0
    #: How the attention head classifies: average of the response maps (the authors' final code), or a 1x1
    #: convolution before the average (the Attention Branch Network).
    attention_head: Literal["gap", "conv"] = "gap"
    #: Between the backbone's layers; the authors' code has none.
    activation: Literal["none", "relu"] = "none"
    #: False: the plain backbone with the perception branch as its classifier.
    attention: bool = True
    #: Type of the convolutions and of what lies between layers; parameters, statistics and losses are float32 always.
    #: bfloat16 is for accelerators: on CPUs it is slower.
    dtype: Literal["float32", "bfloat16"] = "float32"
    #: Precision of convolutions and matrix products in float32: highest computes them in float32 everywhere; high and
    #: default let GPUs (TF32) and TPUs (bfloat16 passes) round the factors, and change nothing on CPUs.
    matmul_precision: Literal["highest", "high", "default"] = "highest"
    #: Window, and stride, of each of the backbone's five poolings; 1 leaves one out. Their product is the number of
    #: samples that an attention bin stands for.
    pools: tuple[int, ...] = (3, 3, 3, 3, 3)

    @property
    def samples_per_bin(self) -> int:
        """Samples per attention bin: the product of the poolings."""
        return math.prod(self.pools)

    def _rules(self) -> list[Rule]:
        pools, bins = list(self.pools), f"a product of at most {LARGEST_BIN:,} samples per bin"
        return [
            (0 < self.width <= 16, "width", self.width, "above 0 and at most 16"),
            (
                len(pools) == 5 and all(1 <= pool <= 32 for pool in pools),
                "pools",
                pools,
                "five whole numbers from 1 to 32",
            ),
            (self.samples_per_bin <= LARGEST_BIN, "pools", pools, bins),
            (
                self.attention or self.attention_head == "gap",
                "attention_head",
                self.attention_head,
                "gap with --no-attention, which leaves the attention branch out",
            ),
        ]


@dataclass(frozen=True)
class ObjectiveConfig(_Settings):
    #: Weight of the distance between attention map and reference map; 0 is the Attention Branch Network.
    gamma: float = 0.01
    #: Divide the sum of the true classes' response maps by the number of all classes (the authors' code) or of
    #: the true ones (their text).
    reference: Literal["all_classes", "true_classes"] = "all_classes"
    #: Distance between the two maps.
    norm: Literal["l2", "l2_squared", "l1"] = "l2"
    #: Add the term to each head's loss (the authors' code: it counts twice) or once.
    term: Literal["both_heads", "once"] = "both_heads"
    #: Let gradients flow into the reference map (the authors' code) or not.
    reference_gradient: bool = True
    #: Of each class: binary cross-entropy, or the asymmetric loss (Ridnik et al. 2021).
    loss: Literal["bce", "asymmetric"] = "bce"
    #: Asymmetric loss: exponent that makes easy negatives count less.
    asl_gamma_negative: float = 0.0
    #: Asymmetric loss: exponent that makes easy positives count less.
    asl_gamma_positive: float = 0.0
    #: Asymmetric loss: probability below which a negative counts nothing.
    asl_clip: float = 0.0
    #: Positives of a class weigh (negatives / positives of the training part) to this power; 0: all alike.
    pos_weight_power: float = 0.0
    #: Upper limit of that weight.
    pos_weight_limit: float = 30.0

    def _rules(self) -> list[Rule]:
        rules = [
            (self.gamma >= 0, "gamma", self.gamma, "0 or more"),
            (self.asl_gamma_negative >= 0, "asl_gamma_negative", self.asl_gamma_negative, "0 or more"),
            (self.asl_gamma_positive >= 0, "asl_gamma_positive", self.asl_gamma_positive, "0 or more"),
            (0 <= self.asl_clip < 1, "asl_clip", self.asl_clip, "from 0 to below 1"),
            (0 <= self.pos_weight_power <= 1, "pos_weight_power", self.pos_weight_power, "from 0 to 1"),
            (self.pos_weight_limit >= 1, "pos_weight_limit", self.pos_weight_limit, "1 or more"),
        ]
        for name in ("asl_gamma_negative", "asl_gamma_positive", "asl_clip"):
            value = getattr(self, name)
            rules.append((self.loss == "asymmetric" or not value, name, value, "0 without --loss asymmetric"))
        return rules


@dataclass(frozen=True)
class DataConfig(_Settings):
    #: Where train, validation and test part come from. auto: paper for the 6,877 CPSC2018 recordings, folds where
    #: the corpus has them, otherwise stratified (8:1:1, patient-wise).
    split: Literal["auto", "paper", "folds", "stratified", "file"] = "auto"
    #: CSV with columns id,part, for --split file.
    split_file: str = ""
    #: Folds of the corpus to train on, for --split folds.
    train_folds: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    #: Folds to validate on.
    validation_folds: tuple[int, ...] = (9,)
    #: Folds to test on.
    test_folds: tuple[int, ...] = (10,)
    #: Seed of the stratified split.
    split_seed: int = 1004
    #: What the model sees: crop, seconds from a random start on (evaluation: consecutive windows);
    #: pad, the recording left-padded with zeros to length; whole, the recording as long as it is.
    window: Literal["crop", "pad", "whole"] = "whole"
    #: Length of a window. crop: 0 is 5.76 s; pad: 0 is 144 s; whole: recordings longer than this are cropped at a
    #: random start in training (0 is about 30 s).
    seconds: float = 0.0
    #: Seconds from one crop window to the next in evaluation; 0: one after another, and what is left at the end is not
    #: seen. Less than the window's length: they overlap, and the last one ends with the recording.
    window_step: float = 0.0
    #: The probability of a recording of several crop windows: the mean of theirs, or the highest (the PTB-XL
    #: benchmark's rule).
    over_windows: Literal["mean", "max"] = "mean"
    #: Rate in Hz at which the network sees signals; files of another rate are resampled.
    rate: float = 500.0
    #: Rate of the files to read where a corpus has each recording at several (PTB-XL: 100 and 500); 0: the highest.
    rate_of_files: int = 0
    #: Limits in Hz of a zero-phase filter on all signals: none, one (low-pass) or two (band-pass).
    filter: tuple[float, ...] = ()
    #: The classes: cpsc2018, ptbxl-superdiagnostic or another vocabulary of this package, or a TOML or CSV file.
    classes: str = "cpsc2018"
    #: Codes that their corpus gives a likelihood (PTB-XL, in percent) below this do not count; 0 there means unknown,
    #: and counts.
    min_likelihood: float = 0.0
    #: CSV with columns id,weight: how much each recording counts in the loss, and in all that is chosen on the
    #: validation part (1 where it is not listed).
    sample_weights: str = ""
    #: Recordings whose mean and standard deviation normalize each lead; all is the authors' leak.
    normalize_on: Literal["train", "all", "none"] = "train"
    #: Recordings with none of the classes: part of the run, or left out of all parts.
    unlabeled: Literal["keep", "drop"] = "keep"
    #: Strength of random gains, baseline wander, noise and lead loss in training; 0 is none, 1 is usual.
    augment: float = 0.0

    def _rules(self) -> list[Rule]:
        limits = f"nothing, one limit or two rising ones, above 0 and below {self.rate / 2:g} Hz (half the rate)"
        rising = all(low < high for low, high in itertools.pairwise((0.0, *self.filter, self.rate / 2)))
        one_file = "the path of a CSV with --split file"
        return [
            (0 <= self.seconds <= 3600, "seconds", self.seconds, "0 (the window's default) to 3600"),
            (
                0 <= self.window_step <= (self.seconds or DEFAULT_SECONDS[self.window])
                and (self.window == "crop" or not self.window_step),
                "window_step",
                self.window_step,
                "0 (one window after another) to the seconds of a window, with --window crop only",
            ),
            (LOWEST_RATE <= self.rate <= 10_000, "rate", self.rate, f"{LOWEST_RATE} to 10000 Hz"),
            (self.rate_of_files >= 0, "rate_of_files", self.rate_of_files, "0 (the highest) or a rate in Hz"),
            (len(self.filter) < 3 and rising, "filter", list(self.filter), limits),
            (0 <= self.min_likelihood <= 100, "min_likelihood", self.min_likelihood, "from 0 to 100"),
            (0 <= self.augment <= 3, "augment", self.augment, "from 0 to 3"),
            (self.split != "file" or bool(self.split_file), "split_file", self.split_file, one_file),
            (
                self.over_windows == "mean" or self.window == "crop",
                "over_windows",
                self.over_windows,
                "mean without --window crop: other windows are one for each recording",
            ),
        ]


@dataclass(frozen=True)
class OptimizerConfig(_Settings):
    #: Adam as in Keras, or AdamW with decoupled decay of the kernels.
    optimizer: Literal["adam", "adamw"] = "adam"
    #: Highest learning rate.
    learning_rate: float = 1e-5
    #: After the warm-up: constant, or a cosine to zero at the last epoch.
    schedule: Literal["constant", "cosine"] = "constant"
    #: Linear rise of the learning rate from zero, in epochs.
    warmup_epochs: float = 0.0
    #: AdamW's decay of kernels.
    weight_decay: float = 0.0
    #: Adam's epsilon (Keras: 1e-7).
    epsilon: float = 1e-7
    #: Largest global norm of a gradient; 0: no limit.
    clip_norm: float = 0.0
    #: Decay of the moving average of the weights that is validated and kept, per step; 0: no average.
    ema_decay: float = 0.0

    def _rules(self) -> list[Rule]:
        decays = self.optimizer == "adamw" or self.weight_decay == 0
        return [
            (self.learning_rate > 0, "learning_rate", self.learning_rate, "above 0"),
            (self.warmup_epochs >= 0, "warmup_epochs", self.warmup_epochs, "0 or more"),
            (self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more"),
            (decays, "weight_decay", self.weight_decay, "0 for --optimizer adam (adamw decays)"),
            (self.epsilon > 0, "epsilon", self.epsilon, "above 0"),
            (self.clip_norm >= 0, "clip_norm", self.clip_norm, "0 (no limit) or more"),
            (0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "from 0 (none) to below 1"),
        ]


@dataclass(frozen=True)
class Config(_Settings):
    """All that decides a run's numbers, together with the data."""

    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    #: Recordings in a step.
    batch_size: int = 32
    #: Most passes over the training part.
    epochs: int = 1000
    #: The metric of the validation part whose best epoch is kept, micro F1 and subset accuracy at 0.5.
    best_by: Literal["micro_f1", "subset_accuracy", "macro_auroc"] = "micro_f1"
    #: Stop after this many epochs without a better one; 0: never.
    patience: int = 50
    #: Seed of the initial weights, the order of recordings, windows and augmentation.
    seed: int = 0
    #: Weights to begin with: a run, a checkpoint, a folder of weights, or the name of weights of this package. All that
    #: fits is taken; a head of other classes is drawn anew.
    init: str = ""
    #: The part of these weights that does not learn.
    freeze: Literal["none", "backbone"] = "none"

    def _rules(self) -> list[Rule]:
        return [
            (self.batch_size >= 1, "batch_size", self.batch_size, "1 or more"),
            (self.epochs >= 1, "epochs", self.epochs, "1 or more"),
            (self.patience >= 0, "patience", self.patience, "0 (never stop early) or more"),
            (0 <= self.seed < 2**31, "seed", self.seed, "from 0 to 2,147,483,647"),
            (
                self.freeze == "none" or bool(self.init),
                "freeze",
                self.freeze,
                "none without weights to begin with (--init)",
            ),
            (
                self.model.attention or self.objective.gamma == 0,
                "gamma",
                self.objective.gamma,
                "0 without the attention branch: give --gamma 0 with --no-attention",
            ),
        ]


def preset(name: str) -> Config:
    """The preset of that name. Raises ConfigError naming the possible ones."""
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}; possible: {', '.join(PRESETS)}")
    return PRESETS[name]


def window_length(config: Config) -> int:
    """Samples of a window at the network's rate: the setting, or the default of its kind; whole: in full bins."""
    samples = (config.data.seconds or DEFAULT_SECONDS[config.data.window]) * config.data.rate
    per_bin = config.model.samples_per_bin if config.data.window == "whole" else 1
    return max(1, round(samples / per_bin)) * per_bin


def to_dict(config: Any) -> dict[str, Any]:
    """Nested dictionary of JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any]) -> Config:
    """Inverse of `to_dict`, also for the names of older versions.

    Raises:
      ConfigError: unknown or missing fields, or impossible values.
    """
    return _build(Config, rename_old(values), "")


def read_config_file(path: Path, base: Config | None = None) -> Config:
    """Returns the settings of a JSON or TOML file, such as a run's config.json; those that it lacks are of `base`.

    Raises:
      ConfigError: naming the file; it cannot be read, or a setting is unknown, impossible or missing without `base`.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, and a device may never end
            raise ConfigError(f"{path}: is no regular file; check the path")
        values = (tomllib if path.suffix == ".toml" else json).loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise ConfigError(f"{path} is not valid {kind} ({error}); correct it (files of TOML end in .toml)") from error
    try:
        return from_dict(values if base is None else _merge(to_dict(base), rename_old(values)))
    except ConfigError as error:
        more = "; --preset NAME gives the settings that a file lacks" if "is missing" in str(error) else ""
        raise ConfigError(f"{path}: {error}{more}") from None


def differences(one: Config, other: Config) -> list[str]:
    """Fields that differ, as `name: value → value`."""
    left, right = _flat(to_dict(one)), _flat(to_dict(other))
    return [f"{name}: {left[name]} → {right[name]}" for name in left if left[name] != right[name]]


#: Settings that runs of older versions do not name → what they did.
_ADDED: dict[tuple[type, str], Any] = {
    (ModelConfig, "dtype"): "float32",
    (ModelConfig, "matmul_precision"): "default",
    (ModelConfig, "pools"): (3, 3, 3, 3, 3),
    (DataConfig, "over_windows"): "mean",
    (DataConfig, "window_step"): 0.0,
    (DataConfig, "rate"): 500.0,
    (DataConfig, "rate_of_files"): 0,
    (DataConfig, "filter"): (),
    (DataConfig, "classes"): "cpsc2018",
    (DataConfig, "min_likelihood"): 0.0,
    (DataConfig, "sample_weights"): "",
    (Config, "best_by"): "micro_f1",
    (Config, "init"): "",
    (Config, "freeze"): "none",
}
#: Names in the config.json and in the checkpoints of older versions → the names of today.
OLD_NAMES: dict[str, str] = {
    "average": "ema_decay",
    "best": "best_value",
    "best_f1": "best_value",
    "compute": "dtype",
    "deviation": "std",
    "focus_negative": "asl_gamma_negative",
    "focus_positive": "asl_gamma_positive",
    "losses": "sums",
    "margin": "asl_clip",
    "optimiser": "optimizer",
    "positive_limit": "pos_weight_limit",
    "positive_power": "pos_weight_power",
    "standardisation": "normalization",
    "standardise_on": "normalize_on",
    "unlabelled": "unlabeled",
}


def rename_old(value: Any) -> Any:
    """Returns JSON values with the names of today in place of those of `OLD_NAMES`, at every depth.

    Where a table has both names the old one stays, to be refused as unknown.
    """
    if isinstance(value, list):
        return [rename_old(item) for item in value]
    if not isinstance(value, dict):
        return value
    if type(value.get("length")) is int and "window" in value and "seconds" not in value:  # of samples at 500 Hz
        value = {name: number for name, number in value.items() if name != "length"} | {
            "seconds": value["length"] / 500
        }
    names = {name: OLD_NAMES.get(name, name) for name in value}
    return {new if new == old or new not in value else old: rename_old(value[old]) for old, new in names.items()}


def _merge(base: Any, over: Any) -> Any:
    """Returns tables with the values of `over` in place of those of `base`, at every depth."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {name: _merge(base[name], value) if name in base else value for name, value in over.items()}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{where or 'config'} is {values!r}; possible: a table of settings")
    hints = typing.get_type_hints(kind)
    if unknown := sorted(set(values) - set(hints)):
        raise ConfigError(f"unknown setting {where}{unknown[0]}; possible: {', '.join(hints)}")
    values = {name: default for (of, name), default in _ADDED.items() if of is kind} | values
    if missing := sorted(set(hints) - set(values)):
        raise ConfigError(f"setting {where}{missing[0]} is missing")
    return kind(**{name: _value(hint, values[name], where + name) for name, hint in hints.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """Returns a value with the type of a setting; numbers may be NumPy's, and a whole one stands for a float."""
    if dataclasses.is_dataclass(hint):
        return value if type(value) is hint else _build(hint, value, name + ".")
    origin = typing.get_origin(hint)
    if origin is Literal:
        if value in (possible := typing.get_args(hint)):
            return value
        raise ConfigError(f"{name} is {value!r}; possible: {', '.join(map(str, possible))}")
    if origin is tuple:
        (kind, _) = typing.get_args(hint)
        if isinstance(value, list | tuple):
            return tuple(_value(kind, item, name) for item in value)
    elif hint in (int, float) and isinstance(value, bool):
        pass  # a number in Python
    elif hint is float and isinstance(value, numbers.Real):
        try:
            return float(value)
        except OverflowError:  # a whole number that no float can hold
            return math.inf
    elif hint is int and isinstance(value, numbers.Integral):
        return int(value)
    elif not isinstance(hint, types.GenericAlias) and type(value) is hint:
        return value
    raise ConfigError(f"{name} is {value!r}; possible: a value of type {getattr(hint, '__name__', hint)}")


_PAPER = Config(data=DataConfig(window="pad", normalize_on="all"))

PresetName = Literal["quick", "fast", "large", "paper-pad", "paper-crop"]
#: Starting points; every field can be changed.
PRESETS: dict[str, Config] = {
    "quick": Config(
        model=ModelConfig(width=0.25, activation="relu"),
        data=DataConfig(window="whole", seconds=14.58),
        optimizer=OptimizerConfig(
            optimizer="adamw",
            learning_rate=3e-3,
            schedule="cosine",
            warmup_epochs=1.0,
            weight_decay=1e-2,
            clip_norm=1.0,
        ),
        batch_size=16,
        epochs=10,
        patience=0,
    ),
    "fast": Config(
        model=ModelConfig(width=0.5, activation="relu"),
        data=DataConfig(window="whole", augment=1.0),
        objective=ObjectiveConfig(pos_weight_power=0.5),
        optimizer=OptimizerConfig(
            optimizer="adamw",
            learning_rate=2e-3,
            schedule="cosine",
            warmup_epochs=2.0,
            weight_decay=5e-2,
            clip_norm=1.0,
            ema_decay=0.995,
        ),
        epochs=40,
        patience=20,
    ),
    "large": Config(
        model=ModelConfig(width=0.5, activation="relu", attention_head="conv", pools=(3, 3, 2, 2, 1)),
        data=DataConfig(window="whole", rate=100.0, augment=1.0),
        optimizer=OptimizerConfig(
            optimizer="adamw",
            learning_rate=3e-3,
            schedule="cosine",
            warmup_epochs=2.0,
            weight_decay=5e-2,
            clip_norm=1.0,
            ema_decay=0.998,
        ),
        batch_size=64,
        epochs=18,
        patience=0,
    ),
    "paper-pad": _PAPER,
    "paper-crop": dataclasses.replace(_PAPER, data=dataclasses.replace(_PAPER.data, window="crop")),
}
