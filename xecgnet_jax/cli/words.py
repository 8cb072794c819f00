"""What a training command reads of its words before it parses them, and the commands it names at its end."""

from __future__ import annotations

import shlex

from xecgnet_jax.cli.common import CorpusArguments
from xecgnet_jax.config import PRESETS, preset
from xecgnet_jax.errors import ConfigError


def evaluate_command(what: list[str], corpus: CorpusArguments) -> str:
    """Returns the command xecgnet-eval with `what` and the options that name the corpus."""
    words = ["xecgnet-eval", *what]
    if corpus.data is not None:
        words += ["--data", str(corpus.data)]
    ordinary = CorpusArguments()
    for name in ("cache", "on_bad_recording", "simulate", "simulate_seed"):
        if getattr(corpus, name) != getattr(ordinary, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(corpus, name))]
    return shlex.join(words)


def take_preset(words: list[str]) -> tuple[str | None, list[str]]:
    """Returns the value of --preset, or None, and the words without it."""
    rest = list(words)
    for position, word in enumerate(rest):
        if word == "--preset":
            if position + 1 == len(rest):
                raise ConfigError(f"--preset needs a name: {', '.join(PRESETS)}")
            return rest[position + 1], rest[:position] + rest[position + 2 :]
        if word.startswith("--preset="):
            return word.split("=", 1)[1], rest[:position] + rest[position + 1 :]
    return None, rest


def choose_preset(name: str | None, words: list[str]) -> str:
    """Returns the name of the preset to begin with: quick where neither a preset nor a corpus is named.

    Nothing is trained on simulated recordings that was not meant to be, and no corpus with the settings of the demo.

    Raises:
      ConfigError: an unknown preset, a corpus without a preset, or a preset without a corpus.
    """
    preset(name or "quick")
    has_data = option(words, "--data") is not None
    if name is None and has_data:
        raise ConfigError(f"--data needs --preset NAME, the settings to begin with: {', '.join(PRESETS)}")
    if name not in (None, "quick") and not has_data and option(words, "--simulate") is None:
        raise ConfigError(
            f"--preset {name} is for a corpus: give --data FOLDER, or --simulate N to train on N simulated recordings"
        )
    return name or "quick"


def option(words: list[str], name: str) -> str | None:
    """Returns the value of an option among the words, or None."""
    for position, word in enumerate(words):
        if word == name and position + 1 < len(words):
            return words[position + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return None
